"""A shard's SQLite file: a cache that is ours alone while open, and discarded rather than trusted in doubt."""

import fcntl
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from processor.engine.ports import Clock
from processor.shard.indexes import schema
from processor.shard.store import Store

unused_at_most_ms: Final = 7 * 24 * 3_600_000  # half of the changelog's delete.retention.ms: deletions may have left it


@dataclass(slots=True)
class SqliteFile:
    store: Store
    origin: str
    path: Path
    clock: Clock
    lock: TextIO | None
    private: "tempfile.TemporaryDirectory[str] | None" = None
    discarded: bool = False

    def discard(self) -> None:
        self.discarded = True

    def close(self) -> None:
        try:
            with suppress(sqlite3.Error):
                self.store.set_meta(used=self.clock.now())  # its position is the newest, even if opened long ago
            self.store.connection.close()
            if self.discarded:
                _remove(self.path)
        finally:
            if self.lock is not None:
                self.lock.close()
            if self.private is not None:
                self.private.cleanup()


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The folder of one partition's state files."""

    folder: Path
    name: str
    clock: Clock
    report_discarded: Callable[[str], None] = lambda why: None  # receives the reason why a kept file isn't used

    def __call__(self, identity: str, begin: int, end: int) -> SqliteFile:
        """Open the kept file if it is a cache of this changelog within [begin, end], else a fresh one.

        While another worker on this machine holds the file, return a private one.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (self.folder / f"{self.name}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another worker on this machine
            lock.close()
            private = tempfile.TemporaryDirectory(prefix="hydrant-")
            path = Path(private.name) / f"{self.name}.sqlite"
            return SqliteFile(self._fresh(path, identity), "private", path, self.clock, None, private)
        path = self.folder / f"{self.name}.sqlite"
        try:
            if (kept := self._kept(path, identity, begin, end)) is not None:
                return SqliteFile(kept, "kept", path, self.clock, lock)
            return SqliteFile(self._fresh(path, identity), "fresh", path, self.clock, lock)
        except BaseException:  # a full disk, for example: the next opening must not find it locked
            lock.close()
            raise

    def _kept(self, path: Path, identity: str, begin: int, end: int) -> Store | None:
        if not path.exists():
            return None
        connection = sqlite3.connect(path)
        try:
            store = Store(connection)
            if (why := self._unusable(store, identity, begin, end)) is None:
                return store
        except sqlite3.DatabaseError:
            why = "no SQLite can read it"
        connection.close()
        self.report_discarded(why)
        return None

    def _unusable(self, store: Store, identity: str, begin: int, end: int) -> str | None:
        """Return the reason why the file can't be used, or None."""
        used = store.meta("used")
        if store.meta("schema") != schema:
            return "of another version"
        if store.meta("identity") != identity:
            return "of another cluster or changelog"
        if not isinstance(used, int) or self.clock.now() - used >= unused_at_most_ms:
            return "not used for 7 days"
        return None if begin <= store.position <= end else "its position is outside of the changelog"

    def _fresh(self, path: Path, identity: str) -> Store:
        _remove(path)
        path.touch(mode=0o600)  # before SQLite does: its files beside this one take over the permissions
        store = Store(sqlite3.connect(path))
        store.set_meta(identity=identity, schema=schema, used=self.clock.now())
        return store


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
