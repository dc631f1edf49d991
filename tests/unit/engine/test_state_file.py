"""A state file is a cache: kept where it reflects this very log, else discarded. Losing it loses nothing."""

import shutil
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from processor.engine.state_file import SqliteFile, StateFolder

day_ms = 24 * 3_600_000
log = [(f"row {number}", bytes([number]) * 4_000) for number in range(100)]  # a changelog, one row an offset
all_rows = dict(log)


@dataclass
class Clock:
    at: int = 1_700_000_000_000

    def now(self) -> int:
        return self.at

    def settled_at(self) -> int:
        return 0


class Folder:
    """The folder of one partition, as a worker opens it, and the log that it is a cache of."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path / "state", Clock()
        self.file = self.path / "p-0.sqlite"
        self.open_state = StateFolder(self.path, "p-0", self.clock)

    def open(self, identity: str = "log", begin: int = 0, end: int = 100) -> SqliteFile:
        return self.open_state(identity, begin, end)

    def leave(self, position: int) -> None:
        """Restore the file up to `position` and close it, as a worker that ends."""
        file = self.open()
        self.restore(file, position)
        file.close()

    def restore(self, file: SqliteFile, end: int) -> None:
        file.store.restore(log[file.store.position : end], end)
        list(file.store.index_restored(self.clock.now()))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def documents(file: SqliteFile) -> dict[str, bytes]:
    return dict(file.store.connection.execute("SELECT key, value FROM document"))


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_lost_file_is_made_anew(folder: Folder) -> None:
    folder.leave(100)
    folder.file.unlink()
    file = folder.open()

    assert ("fresh", 0, {}) == (file.origin, file.store.position, documents(file))
    file.close()


def test_a_file_of_this_log_is_kept(folder: Folder) -> None:
    folder.leave(100)
    file = folder.open()

    assert ("kept", 100, all_rows) == (file.origin, file.store.position, documents(file))
    file.close()


def test_a_stale_file_is_kept_and_restored_from_where_it_ended(folder: Folder) -> None:
    folder.leave(40)
    file = folder.open()
    found = file.origin, file.store.position, documents(file)
    folder.restore(file, 100)

    assert ("kept", 40, dict(log[:40])) == found
    assert all_rows == documents(file)
    file.close()


def test_a_file_that_a_crash_left_behind_is_kept(folder: Folder, tmp_path: Path) -> None:
    """Its last turns are still in the write-ahead log, which SQLite replays when the file is opened."""
    file = folder.open()
    folder.restore(file, 100)
    crashed = Folder(tmp_path / "crashed")
    shutil.copytree(folder.path, crashed.path)
    file.close()
    found = crashed.open()

    assert ("kept", 100, all_rows) == (found.origin, found.store.position, documents(found))
    found.close()


@pytest.mark.parametrize(("begin", "end", "origin"), [(0, 40, "kept"), (0, 39, "fresh"), (40, 100, "kept")])
def test_a_file_past_the_logs_end_is_discarded(folder: Folder, begin: int, end: int, origin: str) -> None:
    """It reflects rows that the log has lost, or another log."""
    folder.leave(40)
    file = folder.open(begin=begin, end=end)

    assert origin == file.origin
    file.close()


def test_a_file_from_before_the_logs_begin_is_discarded(folder: Folder) -> None:
    """The rows in between may have held deletions."""
    folder.leave(40)
    file = folder.open(begin=41)

    assert ("fresh", {}) == (file.origin, documents(file))
    file.close()


def test_a_file_of_another_log_is_discarded_though_its_position_would_fit(folder: Folder) -> None:
    folder.leave(40)
    file = folder.open("another cluster, or a topic made anew")

    assert ("fresh", {}) == (file.origin, documents(file))
    file.close()


def test_a_file_that_was_open_for_long_is_as_young_as_its_last_turn(folder: Folder) -> None:
    file = folder.open()
    folder.restore(file, 100)
    folder.clock.at += 30 * day_ms
    file.close()
    folder.clock.at += 7 * day_ms - 1
    again = folder.open()

    assert ("kept", 100) == (again.origin, again.store.position)
    again.close()


@pytest.mark.parametrize(("idle_ms", "origin"), [(7 * day_ms - 1, "kept"), (7 * day_ms, "fresh")])
def test_a_file_that_was_not_used_for_7_days_is_discarded(folder: Folder, idle_ms: int, origin: str) -> None:
    """The changelog drops tombstones after 14 days: an older file would keep deleted documents forever."""
    folder.leave(40)
    folder.clock.at += idle_ms
    file = folder.open()

    assert origin == file.origin
    file.close()


def test_a_file_of_other_tables_is_discarded(folder: Folder) -> None:
    """Another version wrote it: it would fail every turn."""
    file = folder.open()
    file.store.set_meta(schema="CREATE TABLE document (key, value, and_more)")
    file.close()
    file = folder.open()

    assert file.origin == "fresh"
    file.close()


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 100)


def half_of_it(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def foreign_tables(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID")
    connection.execute("CREATE TABLE calendar (week INTEGER)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", [garbage, half_of_it, nothing, foreign_tables])
def test_a_damaged_file_is_made_anew(folder: Folder, damage: Callable[[Path], None]) -> None:
    folder.leave(100)
    damage(folder.file)
    file = folder.open()
    folder.restore(file, 100)

    assert ("fresh", all_rows) == (file.origin, documents(file))
    file.close()


def test_a_file_that_a_turn_finds_damaged_is_made_anew_at_the_next_opening(folder: Folder) -> None:
    """A damaged page within the file: it opens, and a read of that page fails."""
    folder.leave(100)
    content = folder.file.read_bytes()
    folder.file.write_bytes(content[: 30 * 4_096] + bytes(len(content) - 30 * 4_096))
    file = folder.open()
    with pytest.raises(sqlite3.DatabaseError):
        documents(file)
    file.discard()
    file.close()
    left = list(folder.path.glob("*.sqlite*"))
    again = folder.open()

    assert ("kept", "fresh") == (file.origin, again.origin)
    assert [] == left
    again.close()


def test_a_private_file_can_be_discarded_too(folder: Folder) -> None:
    owner, other = folder.open(), folder.open()
    other.discard()
    other.close()

    assert folder.file.exists()
    assert not other.path.exists()
    owner.close()


def test_a_write_ahead_log_left_by_a_removed_file_is_not_replayed(folder: Folder) -> None:
    """SQLite would replay it into the new file."""
    file = folder.open()
    folder.restore(file, 100)
    beside = {path: path.read_bytes() for path in folder.path.glob("p-0.sqlite-*")}
    file.close()
    folder.file.unlink()
    for path, content in beside.items():
        path.write_bytes(content)
    file = folder.open()

    assert {"p-0.sqlite-wal", "p-0.sqlite-shm"} == {path.name for path in beside}
    assert ("fresh", {}) == (file.origin, documents(file))
    file.close()


def test_a_locked_file_is_left_alone_for_a_private_one(folder: Folder) -> None:
    """Two workers share the folder by default. Closing removes the private file and frees the lock."""
    folder.leave(40)
    owner = folder.open()
    other = folder.open()
    folder.restore(other, 100)
    found = other.origin, documents(other), documents(owner)
    private = other.path.parent
    mode = permissions(private), permissions(other.path)
    other.close()
    owner.close()
    again = folder.open()

    assert ("private", all_rows, dict(log[:40])) == found
    assert (0o700, 0o600) == mode
    assert folder.path != private
    assert not private.exists()
    assert ("kept", 40) == (again.origin, again.store.position)
    again.close()


def test_only_its_owner_can_read_it(folder: Folder, tmp_path: Path) -> None:
    """It holds leads, and so do the files that SQLite puts beside it."""
    file = folder.open()
    folder.restore(file, 100)
    shared = Folder(tmp_path)
    shared.open_state = StateFolder(tmp_path, "p-1", shared.clock)
    tmp_path.chmod(0o755)  # a volume, made by another program
    other = shared.open()

    assert permissions(folder.path) == 0o700
    for folder_ in (folder.path, tmp_path):
        found = {path.suffix: permissions(path) for path in folder_.glob("*.sqlite*")}
        assert dict.fromkeys([".sqlite", ".sqlite-wal", ".sqlite-shm"], 0o600) == found
    file.close()
    other.close()
