"""The table of documents, key → bytes, and its one write path: `UnitOfWork`, the changes of one turn.

The changelog holds the same keys and bytes. Nothing here survives a rollback, so there is nothing to rebuild after a
failed turn.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from processor.highlevel.responses import Response
from processor.ratelimit.headers import day_ms
from processor.shard.documents.document import Document, key_of, project
from processor.shard.documents.format import FORMAT
from processor.shard.indexes import Indexes, Projection, nothing, schema
from processor.shard.setup import Setup
from processor.telemetry.catalogue import TelemetryEvent

Row = tuple[str, bytes | None]
_D = TypeVar("_D", bound=Document)

furthest_ms: Final = 7 * day_ms  # no timer is set further ahead than a deletion is remembered
furthest_retry_ms: Final = day_ms  # DESIGN §1: no retry is set further ahead
indexed_at_once: Final = 1_000  # documents: heartbeats and other shards share the event loop


class NewerFormat(Exception):
    """The changelog was written by a newer version, which this one can't read."""


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record to publish, on the shard's own partition unless it names another one."""

    topic: str  # without prefix
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None  # kept when forwarded


@dataclass(slots=True)
class Tracked:
    """A document that the turn touched: as it was stored, and as it is now."""

    document: Document
    stored: bytes | None
    projected: Projection


class Store:
    """One shard's SQLite, a cache of its changelog. `begin`, then `commit` or `rollback`, one turn at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.isolation_level = None  # transactions are ours to begin
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # OFF could be silently stale after a power cut
        connection.execute("PRAGMA cache_size = -2048")  # KiB, of each shard; bounded, whatever the number of leads
        connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages: 16 MB of log, and each page copied less often
        connection.executescript(schema)

    @property
    def position(self) -> int:
        """The changelog position that the tables reflect; 0: nothing yet."""
        position = self.meta("position")
        return position if isinstance(position, int) else 0

    @property
    def format(self) -> int:
        """The format of the changelog, as its rows name it. Raises NewerFormat."""
        query = "SELECT key, value FROM document WHERE key IN ('identity', 'format')"
        rows = {key: bytes(value).decode() for key, value in self.connection.execute(query)}
        _, _, of_identity = rows.get("identity", "").partition(" ")
        named = int(rows.get("format") or of_identity or 1)
        if named > FORMAT:
            raise NewerFormat(f"the changelog has format {named}, this version reads up to {FORMAT}")
        return named

    def meta(self, name: str) -> object:
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, **values: object) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def begin(self, now: int, setup: Setup) -> "UnitOfWork":
        self.connection.execute("BEGIN IMMEDIATE")
        return UnitOfWork(self.connection, now, setup)

    def commit(self, position: int | None) -> None:
        """Make the turn durable here, after the log. An unknown position keeps the older one: replay is idempotent."""
        if position is not None:
            self.set_meta(position=position)
        self.connection.execute("COMMIT")

    def name_format(self, row: Row, position: int | None) -> None:
        """Keep the row that names the changelog's format, which the log has taken at `position` (None: unknown)."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?)", row)
        self.commit(position)

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def restore(self, rows: Sequence[Row], position: int) -> None:
        """Copy a slice of the changelog. `index_restored` indexes its documents once all slices are in."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("CREATE TABLE IF NOT EXISTS restored (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self.connection.executemany("INSERT OR IGNORE INTO restored VALUES (?)", ((key,) for key, _ in rows))
        self.connection.executemany(
            "INSERT OR REPLACE INTO document VALUES (?, ?)", ((key, value) for key, value in rows if value is not None)
        )
        last = dict(rows)
        self.connection.executemany("DELETE FROM document WHERE key = ?", ((key,) for key in last if last[key] is None))
        self.commit(position)

    def index_restored(self, now: int) -> Iterator[None]:
        """Index each restored document once, in slices: the caller lets others run between them.

        Forgets what only the former owner knew: its calls in flight. Raises NewerFormat.
        """
        connection = self.connection
        _ = self.format
        connection.execute("CREATE TABLE IF NOT EXISTS restored (key TEXT PRIMARY KEY) WITHOUT ROWID")
        indexes = Indexes(connection)
        while rows := connection.execute(next_restored, (indexed_at_once,)).fetchall():
            connection.execute("BEGIN IMMEDIATE")
            for key, value in rows:
                indexes.index(key, None, project(key, value) if value is not None else nothing)
            connection.executemany("DELETE FROM restored WHERE key = ?", ((key,) for key, _ in rows))
            connection.execute("COMMIT")
            if len(rows) < indexed_at_once:
                break
            yield
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DROP TABLE restored")
        connection.execute("UPDATE pending SET slot = NULL WHERE slot IS NOT NULL")
        connection.execute("UPDATE timer SET at = min(at, ?)", (now + furthest_ms,))
        connection.execute("UPDATE pending SET at = min(at, ?)", (now + furthest_retry_ms,))
        schedule = "INSERT OR REPLACE INTO timer SELECT DISTINCT 'schedule ' || location, ? FROM pending"
        connection.execute(schedule, (now,))
        self.set_meta(used=now)
        connection.execute("COMMIT")


next_restored: Final = "SELECT key, (SELECT value FROM document WHERE key = restored.key) FROM restored LIMIT ?"


class UnitOfWork(Indexes):
    """All that one turn reads and writes. Each document is read once, changed in memory, and written once, by `flush`."""

    def __init__(self, connection: sqlite3.Connection, now: int, setup: Setup) -> None:
        super().__init__(connection)
        self.now = now  # ms
        self.setup = setup
        self._tracked: dict[str, Tracked] = {}
        self.rows: list[Row] = []  # for the changelog, in the order written
        self.records: list[OutRecord] = []  # to publish
        self.telemetry: list[TelemetryEvent] = []
        self.locations_to_schedule: dict[str, None] = {}  # whose budget may have a use now, in the order they came up
        self.rest_of_pages: list[Response] = []  # to be ingested in the next turn
        self.refused_tokens: list[tuple[str, str | None]] = []  # locations that wait for another token than this one

    def stored(self, key: str) -> bytes | None:
        """Return a document's bytes as they were before this turn."""
        row = self._sql.execute("SELECT value FROM document WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def document(self, kind: type[_D], ids: Sequence[str]) -> _D:
        """Return the document in this turn: as touched already, else as it is stored, else a new one."""
        key = key_of(kind, ids)
        tracked = self._tracked.get(key)
        if tracked is not None:
            return cast(_D, tracked.document)  # a key names its kind
        stored = self.stored(key)
        document = kind.read(self, ids, stored)
        self._track(key, document, stored)
        return document

    def find(self, kind: type[_D], ids: Sequence[str]) -> _D | None:
        """Return the document in this turn, if there is one: as touched already, else as it is stored."""
        key = key_of(kind, ids)
        tracked = self._tracked.get(key)
        if tracked is not None:
            return cast(_D, tracked.document)  # a key names its kind
        stored = self.stored(key)
        if stored is None:
            return None
        document = kind.read(self, ids, stored)
        self._track(key, document, stored)
        return document

    def add(self, document: Document) -> None:
        """Take a new document into the turn, and index it at once."""
        self._track(document.key, document, None)
        self.reindex(document)

    def reindex(self, document: Document) -> None:
        """Index a tracked document before the end of the turn, since this very turn asks."""
        tracked = self._tracked[document.key]
        projection = document.projection()
        self.index(document.key, tracked.projected, projection)
        tracked.projected = projection

    @property
    def size(self) -> int:
        """The number of documents that the turn tracks."""
        return len(self._tracked)

    def touched(self, kind: type[_D]) -> list[_D]:
        """Return the documents of this kind that the turn tracks."""
        return [tracked.document for tracked in self._tracked.values() if isinstance(tracked.document, kind)]

    def flush(self, *kinds: str) -> None:
        """Write and index every touched document that changed; of these kinds only, if any are named."""
        written: list[Row] = []
        for key in [key for key in self._tracked if not kinds or key.partition(" ")[0] in kinds]:
            tracked = self._tracked.pop(key)
            value = tracked.document.encode()
            projection = tracked.document.projection() if value is not None else nothing
            if projection != tracked.projected:
                self.index(key, tracked.projected, projection)
            if value != tracked.stored:
                written.append((key, value))
        if kept := [row for row in written if row[1] is not None]:
            self._sql.executemany("INSERT OR REPLACE INTO document VALUES (?, ?)", kept)
        if deleted := [(key,) for key, value in written if value is None]:
            self._sql.executemany("DELETE FROM document WHERE key = ?", deleted)
        self.release_finished()
        self.rows += written

    def _track(self, key: str, document: Document, stored: bytes | None) -> None:
        self._tracked[key] = Tracked(document, stored, document.projection() if stored is not None else nothing)
