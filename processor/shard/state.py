"""The table of documents, key → bytes, and its one write path: `Changes`, the unit of work of a turn.

The changelog holds the same keys and bytes. The narrow tables beside it are projections: derived from a document
whenever it is written or restored, never journalled. Nothing here survives a rollback, so there is nothing to rebuild
after a failed turn.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar, cast

import orjson

from processor.highlevel.responses import Response
from processor.shard.tables import Projection, Tables, nothing, schema
from processor.telemetry.catalogue import TelemetryEvent

Row = tuple[str, bytes | None]

furthest_ms: Final = 7 * 24 * 3_600_000  # no document is put on the agenda further ahead than a deletion is remembered


@dataclass(frozen=True, slots=True)
class Out:
    """A record to publish; on the shard's own partition unless it says another one."""

    topic: str  # without prefix
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None  # kept when re-homed


class Document(Protocol):
    """A kind of document. Keys are its kind and ids, joined by a space, which no id contains."""

    @property
    def key(self) -> str: ...
    def encode(self) -> bytes | None: ...
    def projection(self) -> Projection: ...


D = TypeVar("D", bound=Document)


@dataclass(slots=True)
class Held:
    """A document that the turn touched: as it was, and as it is now."""

    document: Document
    stored: bytes | None
    projected: Projection


class State:
    """One shard's SQLite: a cache of its changelog. `begin`, then `commit` or `rollback`, one turn at a time."""

    def __init__(self, connection: sqlite3.Connection, project: "Project") -> None:
        self.connection = connection
        self._project = project
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

    def meta(self, name: str) -> object:
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, **values: object) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def begin(self) -> "Changes":
        self.connection.execute("BEGIN IMMEDIATE")
        return Changes(self.connection)

    def commit(self, position: int | None) -> None:
        """Make the turn durable here, after the log. An unknown position keeps the older one: replay is idempotent."""
        if position is not None:
            self.set_meta(position=position)
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def restore(self, rows: Sequence[Row], position: int) -> None:
        """Copy a slice of the changelog. `restored` projects it once all slices are in."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("CREATE TABLE IF NOT EXISTS restored (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self.connection.executemany("INSERT OR IGNORE INTO restored VALUES (?)", ((key,) for key, _ in rows))
        self.connection.executemany(
            "INSERT OR REPLACE INTO document VALUES (?, ?)", ((key, value) for key, value in rows if value is not None)
        )
        last = dict(rows)
        self.connection.executemany("DELETE FROM document WHERE key = ?", ((key,) for key in last if last[key] is None))
        self.commit(position)

    def restored(self, now: int) -> None:
        """Project each restored document once, and forget what only the former owner knew: its calls in flight."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE IF NOT EXISTS restored (key TEXT PRIMARY KEY) WITHOUT ROWID")
        changes = Changes(connection)
        for (key,) in connection.execute("SELECT key FROM restored"):
            row = connection.execute("SELECT value FROM document WHERE key = ?", (key,)).fetchone()
            changes.project(key, None, self._project(key, row[0]) if row else nothing)
        connection.execute("DROP TABLE restored")
        connection.execute("UPDATE pending SET slot = NULL WHERE slot IS NOT NULL")
        connection.execute("UPDATE agenda SET at = min(at, ?)", (now + furthest_ms,))
        connection.execute(
            "UPDATE pending SET at = min(at, ?)", (now + 24 * 3_600_000,)
        )  # a retry is at most a day ahead
        connection.execute(
            "INSERT OR REPLACE INTO agenda SELECT DISTINCT 'location ' || location, ? FROM pending", (now,)
        )
        self.set_meta(used=now)
        connection.execute("COMMIT")


class Project(Protocol):
    def __call__(self, key: str, value: bytes) -> Projection: ...


class Changes(Tables):
    """What one turn reads and writes. Each document is read once, changed in memory, and written once, by `flush`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._held: dict[str, Held] = {}
        self.rows: list[Row] = []  # for the changelog, in the order written
        self.records: list[Out] = []  # to publish
        self.notes: list[TelemetryEvent] = []  # for logs and metrics
        self.busy: dict[str, None] = {}  # locations whose budget may have a use now, in the order they came up
        self.again: list[Response] = []  # what is left of a page: it is heard in the next turn
        self.watched: list[tuple[str, str | None]] = []  # locations that wait for another token than this one

    def get(self, key: str) -> bytes | None:
        """A document's bytes as they were before this turn."""
        row = self._sql.execute("SELECT value FROM document WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def document(self, key: str, read: Callable[[bytes | None], D]) -> D:
        """The document in this turn: as touched already, else as `read` makes it of what is stored, None for nothing."""
        held = self._held.get(key)
        if held is not None:
            return cast(D, held.document)  # a key's kind says what its document is
        stored = self.get(key)
        document = read(stored)
        self.hold(document, stored)
        return document

    def find(self, key: str, read: Callable[[bytes], D]) -> D | None:
        """The document in this turn, if there is one: as touched already, else as `read` makes it of what is stored."""
        held = self._held.get(key)
        if held is not None:
            return cast(D, held.document)  # a key's kind says what its document is
        stored = self.get(key)
        if stored is None:
            return None
        document = read(stored)
        self.hold(document, stored)
        return document

    def hold(self, document: Document, stored: bytes | None) -> None:
        """Take a document, as it was read, into the turn: `flush` writes it if it changes."""
        self._held[document.key] = Held(document, stored, document.projection() if stored is not None else nothing)

    def refresh(self, document: Document) -> None:
        """Project a held document at once, since this very turn will ask."""
        held = self._held[document.key]
        projection = document.projection()
        self.project(document.key, held.projected, projection)
        held.projected = projection

    @property
    def size(self) -> int:
        """How many documents the turn holds."""
        return len(self._held)

    def touched(self, kind: type[D]) -> list[D]:
        """The documents of this kind that the turn holds."""
        return [held.document for held in self._held.values() if isinstance(held.document, kind)]

    def flush(self, *kinds: str) -> None:
        """Write every touched document of these kinds (none: of all) that changed, and what the projections now say."""
        written: list[Row] = []
        for key in [key for key in self._held if not kinds or key.partition(" ")[0] in kinds]:
            held = self._held.pop(key)
            value = held.document.encode()
            projection = held.document.projection() if value is not None else nothing
            if projection != held.projected:
                self.project(key, held.projected, projection)
            if value != held.stored:
                written.append((key, value))
        if kept := [row for row in written if row[1] is not None]:
            self._sql.executemany("INSERT OR REPLACE INTO document VALUES (?, ?)", kept)
        if gone := [(key,) for key, value in written if value is None]:
            self._sql.executemany("DELETE FROM document WHERE key = ?", gone)
        self.put_landed()
        self.rows += written


@dataclass(slots=True)
class Position:
    """How far an input topic has been heard: the consumer's position, which passes transaction markers."""

    topic: str
    offset: int = 0

    @property
    def key(self) -> str:
        return f"position {self.topic}"

    def encode(self) -> bytes:
        return orjson.dumps(self.offset)

    def projection(self) -> Projection:
        return nothing

    @classmethod
    def of(cls, changes: Changes, topic: str) -> Self:
        return changes.document(f"position {topic}", lambda stored: cls(topic, orjson.loads(stored) if stored else 0))
