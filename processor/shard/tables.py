"""The narrow tables: what is due, who waits for what. Projections, derived from a document whenever it is written or
restored, and never journalled.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

schema: Final = """
CREATE TABLE IF NOT EXISTS document (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agenda (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agenda_at ON agenda (at);
CREATE TABLE IF NOT EXISTS pending (
    location TEXT, lead TEXT, lane INTEGER, at INTEGER, by TEXT, value TEXT, width INTEGER, sought INTEGER, hit TEXT,
    slot INTEGER, PRIMARY KEY (location, lead)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_next ON pending (location, lane, at) WHERE slot IS NULL;
CREATE INDEX IF NOT EXISTS pending_slot ON pending (location, slot) WHERE slot IS NOT NULL;
CREATE INDEX IF NOT EXISTS pending_sought ON pending (location, by, value) WHERE sought;
CREATE INDEX IF NOT EXISTS pending_hit ON pending (location, hit) WHERE hit IS NOT NULL;
CREATE TABLE IF NOT EXISTS waiting (location TEXT, lead TEXT, request TEXT, PRIMARY KEY (location, lead, request))
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job (
    request TEXT, location TEXT, lane INTEGER, heard INTEGER, PRIMARY KEY (request, location)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_next ON job (location, lane, heard, request);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""


class Pending(NamedTuple):
    """A question that waits for a call: the most urgent first, then the one due longest."""

    lane: int  # of the budget; a job's messages have lanes of their own, two behind
    at: int
    by: str  # email | phone | id in a search, get: the contact itself, export: its messages, page: of a job
    value: str
    width: int  # it shares a search with at most so many values
    sought: bool = False  # a scan looks for it
    hit: str | None = None  # contact that a scan has found for it


class Projection(NamedTuple):
    """What the narrow tables say of one document."""

    at: int | None = None  # when it needs attention next, whatever comes in
    pending: Pending | None = None  # of a lead with an open question, and of a job with a page to ask for
    waits: bool = False  # of a request that isn't answered yet
    job: tuple[int, int] | None = None  # of a job that isn't over: its lane, and when it was heard of


nothing: Final = Projection()


class Tables:
    """Reads and writes of the narrow tables, in the transaction of a turn."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._landed: list[tuple[str, int]] = []  # calls that are over: location and slot

    def project(self, key: str, old: Projection | None, new: Projection) -> None:
        """Bring the narrow tables up to date with one document; `old` None: whatever they say."""
        kind, _, rest = key.partition(" ")
        if kind == "location":
            self.remind_by(key, new.at)  # its next call may be due sooner
        elif old is None or old.at != new.at:
            self.remind(key, new.at)
        if kind in ("lead", "job") and (old is None or old.pending != new.pending):
            location, name = rest.split(" ")
            asker = name if kind == "lead" else f"job {name}"  # no lead's id has a space
            if new.pending is None:
                self._sql.execute("DELETE FROM pending WHERE location = ? AND lead = ?", (location, asker))
            else:
                self._sql.execute(ask, (location, asker, *new.pending))
        if kind == "request" and (old is None or old.waits != new.waits):
            statement = "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)" if new.waits else unwait
            self._sql.execute(statement, rest.split(" "))
        if kind == "job" and (old is None or old.job != new.job):
            location, request = rest.split(" ")
            self._sql.execute("DELETE FROM job WHERE request = ? AND location = ?", (request, location))
            if new.job:
                self._sql.execute("INSERT INTO job VALUES (?, ?, ?, ?)", (request, location, *new.job))

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
                   WHERE location = ? AND lane = ? AND slot IS NULL AND at <= ? AND by != 'page'
                   ORDER BY at LIMIT ?"""
        for lead, *row in self._sql.execute(query, (location, lane, now, limit)):
            yield lead, Pending(*row)

    def queued(self, location: str) -> dict[int, int]:
        """How many questions of each lane wait or are in flight; not of jobs' lanes, whose tallies say more."""
        counted: dict[int, int] = {}
        for query in (queued_waiting, queued_in_flight):
            for lane, count in self._sql.execute(query, (location,)):
                counted[lane] = counted.get(lane, 0) + count
        return counted

    def oldest_pending(self, location: str) -> int | None:
        """Since when the question that has been due longest has been so."""
        in_flight = self._sql.execute(oldest_in_flight, (location,)).fetchone()[0]
        since = [*self.first_pending(location).values(), *([in_flight] if in_flight is not None else [])]
        return min(since, default=None)

    def in_flight(self, location: str, leads: Iterable[str], slot: int) -> None:
        """These leads are being asked about by the call in `slot`."""
        mark = "UPDATE pending SET slot = ? WHERE location = ? AND lead = ?"
        self._sql.executemany(mark, ((slot, location, lead) for lead in leads))

    def landed(self, location: str, slot: int) -> None:
        """The call in `slot` is over: whoever it asked about, and still has the question, waits again."""
        self._landed.append((location, slot))

    def put_landed(self) -> None:
        """Let the questions of calls that are over wait again; by now most of them are answered, and deleted."""
        if self._landed:
            self._sql.executemany("UPDATE pending SET slot = NULL WHERE location = ? AND slot = ?", self._landed)
            self._landed.clear()

    def first_job(self, location: str) -> str | None:
        """The job whose turn it is: a Sync All before a backfill's, then in the order in which they came."""
        query = "SELECT request FROM job WHERE location = ? ORDER BY lane, heard, request LIMIT 1"
        row = self._sql.execute(query, (location,)).fetchone()
        return row[0] if row else None

    def last_heard(self, location: str) -> int:
        """When the location's latest job that isn't over was heard of; 0: there is none."""
        at: int | None = self._sql.execute("SELECT max(heard) FROM job WHERE location = ?", (location,)).fetchone()[0]
        return at or 0

    def jobs(self, request: str, after: str, limit: int) -> list[str]:
        """Locations with a job of this request that isn't over."""
        query = "SELECT location FROM job WHERE request = ? AND location > ? ORDER BY location LIMIT ?"
        return [location for (location,) in self._sql.execute(query, (request, after, limit))]

    def page_due(self, location: str, request: str) -> int | None:
        """When the job's next page is due; None: it has none, or it is in flight."""
        query = "SELECT at FROM pending WHERE location = ? AND lead = ? AND slot IS NULL"
        row = self._sql.execute(query, (location, f"job {request}")).fetchone()
        return row[0] if row else None

    def flying(self, location: str, *lanes: int) -> int:
        """Calls of these lanes in flight."""
        query = "SELECT DISTINCT slot, lane FROM pending WHERE location = ? AND slot IS NOT NULL"
        return len({slot for slot, lane in self._sql.execute(query, (location,)) if lane in lanes})

    def count(self, location: str, lane: int) -> int:
        """Questions of this lane that wait."""
        query = "SELECT count(*) FROM pending INDEXED BY pending_next WHERE location = ? AND lane = ? AND slot IS NULL"
        count: int = self._sql.execute(query, (location, lane)).fetchone()[0]
        return count

    def leads(self, location: str, after: str, limit: int) -> list[str]:
        """Leads of the location that there is a document of, in the order of their ids."""
        query = "SELECT key FROM document WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
        first = f"lead {location} "
        found = self._sql.execute(query, (first + after, f"lead {location}!", limit))  # ! follows the space
        return [key[len(first) :] for (key,) in found]

    def locations(self, after: str, limit: int) -> list[str]:
        """Locations that there is a lead of, in the order of their ids."""
        found: list[str] = []
        while len(found) < limit:
            behind = f"lead {found[-1] if found else after}!" if found or after else "lead "
            query = "SELECT min(key) FROM document WHERE key > ? AND key < 'lead!'"
            (key,) = self._sql.execute(query, (behind,)).fetchone()
            if key is None:
                break
            found.append(key.split(" ")[1])
        return found

    def askers(self, location: str, after: str, limit: int, lane: int | None = None) -> list[str]:
        """Leads with an open question, in the order of their ids; of one lane, or of all."""
        query = """SELECT lead FROM pending WHERE location = ? AND lead > ? AND (? IS NULL OR lane = ?) AND by != 'page'
                   ORDER BY lead LIMIT ?"""
        return [lead for (lead,) in self._sql.execute(query, (location, after, lane, lane, limit))]

    def sought(self, location: str, by: str, value: str, limit: int) -> list[str]:
        """Leads that a scan looks for by this value."""
        return [lead for (lead,) in self._sql.execute(sought, (location, by, value, limit))]

    def hit_by(self, location: str, contact: str, limit: int) -> list[str]:
        """Leads that a scan has found this contact for."""
        query = "SELECT lead FROM pending WHERE location = ? AND hit = ? LIMIT ?"
        return [lead for (lead,) in self._sql.execute(query, (location, contact, limit))]


ask: Final = """
INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET
    slot = CASE WHEN (by, value) = (excluded.by, excluded.value) THEN slot END,
    lane = excluded.lane, at = excluded.at, by = excluded.by, value = excluded.value, width = excluded.width,
    sought = excluded.sought, hit = excluded.hit
"""  # the same question is under way already, whoever asks it now
first_of_each_lane: Final = """
SELECT
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 0 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 1 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 2 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 3 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 4 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND lane = 5 AND slot IS NULL)
"""  # an index look-up each, however many wait
unwait: Final = "DELETE FROM waiting WHERE location = ? AND lead = ? AND request = ?"
# left to itself, SQLite takes these for a walk through the location
sought: Final = """
SELECT lead FROM pending INDEXED BY pending_sought WHERE sought AND location = ? AND by = ? AND value = ? LIMIT ?
"""
queued_waiting: Final = """
SELECT lane, count(*) FROM pending INDEXED BY pending_next WHERE location = ? AND lane < 2 AND slot IS NULL GROUP BY lane
"""
queued_in_flight: Final = """
SELECT lane, count(*) FROM pending INDEXED BY pending_slot WHERE location = ? AND lane < 2 AND slot IS NOT NULL
GROUP BY lane
"""
oldest_in_flight: Final = """
SELECT min(at) FROM pending INDEXED BY pending_slot WHERE location = ? AND slot IS NOT NULL
"""
