"""The table of documents, key → bytes, and its one write path: `Changes`, the unit of work of a turn.

The changelog holds the same keys and bytes. The narrow tables beside it are projections: derived from a document
whenever it is written or restored, never journalled. Nothing here survives a rollback, so there is nothing to rebuild
after a failed turn.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self, TypeVar, cast

import orjson

from processor.shard.notes import Note

Row = tuple[str, bytes | None]

schema: Final = """
CREATE TABLE IF NOT EXISTS document (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agenda (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agenda_at ON agenda (at);
CREATE TABLE IF NOT EXISTS pending (
    location TEXT, lead TEXT, lane INTEGER, at INTEGER, by TEXT, value TEXT, width INTEGER, slot INTEGER,
    PRIMARY KEY (location, lead)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_next ON pending (location, lane, at) WHERE slot IS NULL;
CREATE INDEX IF NOT EXISTS pending_slot ON pending (location, slot) WHERE slot IS NOT NULL;
CREATE TABLE IF NOT EXISTS waiting (location TEXT, lead TEXT, request TEXT, PRIMARY KEY (location, lead, request))
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
furthest_ms: Final = 7 * 24 * 3_600_000  # no document is put on the agenda further ahead than a deletion is remembered


class Pending(NamedTuple):
    """A lead's question that waits for a call: the most urgent first, then the one due longest."""

    lane: int
    at: int
    by: str  # email | phone | id in a search, get: the contact itself
    value: str
    width: int  # it shares a search with at most so many values


@dataclass(frozen=True, slots=True)
class Out:
    """A record to publish; on the shard's own partition unless it says another one."""

    topic: str  # without prefix
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None  # kept when re-homed


class Projection(NamedTuple):
    """What the narrow tables say of one document."""

    at: int | None = None  # when it needs attention next, whatever comes in
    pending: Pending | None = None  # of a lead with an open question
    waits: bool = False  # of a request that isn't answered yet


nothing: Final = Projection()


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


class Changes:
    """What one turn reads and writes. Each document is read once, changed in memory, and written once, by `flush`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._held: dict[str, Held] = {}
        self._landed: list[tuple[str, int]] = []  # calls that are over: location and slot
        self.rows: list[Row] = []  # for the changelog, in the order written
        self.records: list[Out] = []  # to publish
        self.notes: list[Note] = []  # for logs and metrics
        self.busy: dict[str, None] = {}  # locations whose budget may have a use now, in the order they came up
        self.watched: list[tuple[str, str | None]] = []  # locations that wait for another token than this one

    def get(self, key: str) -> bytes | None:
        """A document's bytes as they were before this turn."""
        row = self._sql.execute("SELECT value FROM document WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def held(self, key: str) -> Document | None:
        """The document, if this turn touched it already."""
        held = self._held.get(key)
        return held.document if held else None

    def document(self, key: str, read: Callable[[bytes | None], D]) -> D:
        """The document in this turn: as touched already, else as `read` makes it of what is stored, None for nothing."""
        held = self._held.get(key)
        if held is not None:
            return cast(D, held.document)  # a key's kind says what its document is
        stored = self.get(key)
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
        if self._landed:  # by now most of their questions are answered, and deleted
            self._sql.executemany("UPDATE pending SET slot = NULL WHERE location = ? AND slot = ?", self._landed)
            self._landed.clear()
        self.rows += written

    def project(self, key: str, old: Projection | None, new: Projection) -> None:
        """Bring the narrow tables up to date with one document; `old` None: whatever they say."""
        kind, _, rest = key.partition(" ")
        if kind == "location":
            self.remind_by(key, new.at)  # its next call may be due sooner
        elif old is None or old.at != new.at:
            self.remind(key, new.at)
        if kind == "lead" and (old is None or old.pending != new.pending):
            location, lead = rest.split(" ")
            if new.pending is None:
                self._sql.execute("DELETE FROM pending WHERE location = ? AND lead = ?", (location, lead))
            else:
                self._sql.execute(ask, (location, lead, *new.pending))
        if kind == "request" and (old is None or old.waits != new.waits):
            statement = "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)" if new.waits else unwait
            self._sql.execute(statement, rest.split(" "))

    def remind(self, key: str, at: int | None) -> None:
        """Put a key on the agenda, or take it off."""
        if at is None:
            self._sql.execute("DELETE FROM agenda WHERE key = ?", (key,))
        else:
            self._sql.execute("INSERT OR REPLACE INTO agenda VALUES (?, ?)", (key, at))

    def remind_by(self, key: str, at: int | None) -> None:
        """Put a key on the agenda at this time, or sooner if it already stands there."""
        if at is not None:
            later = "INSERT INTO agenda VALUES (?, ?) ON CONFLICT DO UPDATE SET at = min(at, excluded.at)"
            self._sql.execute(later, (key, at))

    def due(self, now: int, limit: int) -> list[str]:
        """Keys whose time has come, the earliest first."""
        found = self._sql.execute("SELECT key FROM agenda WHERE at <= ? ORDER BY at LIMIT ?", (now, limit))
        return [key for (key,) in found]

    def wake_at(self) -> int | None:
        at: int | None = self._sql.execute("SELECT min(at) FROM agenda").fetchone()[0]
        return at

    def waiting(self, location: str, lead: str, limit: int) -> list[str]:
        """Request ids of this lead that are not answered."""
        found = self._sql.execute(
            "SELECT request FROM waiting WHERE location = ? AND lead = ? LIMIT ?", (location, lead, limit)
        )
        return [request for (request,) in found]

    def first_pending(self, location: str) -> dict[int, int]:
        """Since when each lane's first question has been due, by lane; those without one are left out."""
        found = self._sql.execute(first_of_each_lane, {"location": location}).fetchone()
        return {lane: at for lane, at in enumerate(found) if at is not None}

    def pending(self, location: str, lane: int, now: int, limit: int) -> Iterator[tuple[str, Pending]]:
        query = """SELECT lead, lane, at, by, value, width FROM pending
                   WHERE location = ? AND lane = ? AND slot IS NULL AND at <= ? ORDER BY at LIMIT ?"""
        for lead, *row in self._sql.execute(query, (location, lane, now, limit)):
            yield lead, Pending(*row)

    def queued(self, location: str) -> dict[int, int]:
        """How many questions of each lane wait or are in flight."""
        return dict(
            self._sql.execute("SELECT lane, count(*) FROM pending WHERE location = ? GROUP BY lane", (location,))
        )

    def oldest_pending(self, location: str) -> int | None:
        at: int | None = self._sql.execute("SELECT min(at) FROM pending WHERE location = ?", (location,)).fetchone()[0]
        return at

    def in_flight(self, location: str, leads: Iterable[str], slot: int) -> None:
        """These leads are being asked about by the call in `slot`."""
        mark = "UPDATE pending SET slot = ? WHERE location = ? AND lead = ?"
        self._sql.executemany(mark, ((slot, location, lead) for lead in leads))

    def landed(self, location: str, slot: int) -> None:
        """The call in `slot` is over: whoever it asked about, and still has the question, waits again."""
        self._landed.append((location, slot))


ask: Final = """
INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET
    slot = CASE WHEN (by, value) = (excluded.by, excluded.value) THEN slot END,
    lane = excluded.lane, at = excluded.at, by = excluded.by, value = excluded.value, width = excluded.width
"""  # the same question is under way already, whoever asks it now
first_of_each_lane: Final = """
SELECT
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 0 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 1 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 2 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 3 AND slot IS NULL)
"""  # an index look-up each, however many wait
unwait: Final = "DELETE FROM waiting WHERE location = ? AND lead = ? AND request = ?"


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
