"""Narrow local tables: which timers are due, who waits for a call, who waits for a value.

They are projections: derived from a document whenever it is written or restored, and never journalled.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple, Self

from processor.highlevel.requests import Question, QuestionKind
from processor.ratelimit.budget import Lane

schema: Final = """
CREATE TABLE IF NOT EXISTS document (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timer (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS timer_at ON timer (at);
CREATE TABLE IF NOT EXISTS pending (
    location TEXT, asker TEXT, queue INTEGER, at INTEGER, kind TEXT, value TEXT, width INTEGER, waiting INTEGER,
    matched TEXT, slot INTEGER, PRIMARY KEY (location, asker)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_next ON pending (location, queue, at) WHERE slot IS NULL;
CREATE INDEX IF NOT EXISTS pending_slot ON pending (location, slot) WHERE slot IS NOT NULL;
CREATE INDEX IF NOT EXISTS pending_waiting ON pending (location, kind, value) WHERE waiting;
CREATE INDEX IF NOT EXISTS pending_matched ON pending (location, matched) WHERE matched IS NOT NULL;
CREATE TABLE IF NOT EXISTS open_request (
    location TEXT, lead TEXT, request TEXT, PRIMARY KEY (location, lead, request)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job (
    request TEXT, location TEXT, lane INTEGER, accepted_at INTEGER, PRIMARY KEY (request, location)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_next ON job (location, lane, accepted_at, request);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""


class Queue(IntEnum):
    """Where a question waits for a call. A job's messages wait apart: they are read when all else is known."""

    INTERACTIVE = 0
    CHANGE = 1
    JOB = 2
    BACKFILL = 3
    JOB_MESSAGES = 4
    BACKFILL_MESSAGES = 5

    @classmethod
    def of(cls, lane: Lane, kind: QuestionKind) -> Self:
        return cls(message_queues.get(lane, lane) if kind is QuestionKind.MESSAGES else lane)


message_queues: Final = {Lane.JOB: Queue.JOB_MESSAGES, Lane.BACKFILL: Queue.BACKFILL_MESSAGES}


class Pending(NamedTuple):
    """A question that waits for a call: the most urgent first, then the one that has been due longest."""

    queue: int
    at: int  # ms, when it is due
    kind: str  # a QuestionKind, or `page` of a job
    value: str
    width: int  # it shares a search with at most so many values
    waiting: bool = False  # a listing looks for it, or a GET of its contact serves it
    matched: str | None = None  # contact that a scan has found for it


class Projection(NamedTuple):
    """One document's rows in the narrow tables."""

    at: int | None = None  # ms, when it needs attention next, whatever comes in
    pending: Pending | None = None  # of a lead with an open question, and of a job with a page to ask for
    open_request: bool = False  # of a request that isn't answered yet
    job: tuple[int, int] | None = None  # of a job that isn't over: its lane, and when it was accepted


nothing: Final = Projection()


class Indexes:
    """Reads and writes the narrow tables in the transaction of a turn."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._finished: list[tuple[str, int]] = []  # calls that are over: location and slot

    def index(self, key: str, old: Projection | None, new: Projection) -> None:
        """Bring the narrow tables up to date with one document. `old` None: all that they hold is replaced."""
        kind, _, rest = key.partition(" ")
        if kind == "location":
            self.set_timer_no_later(key, new.at)  # what it reports next may be due sooner
        elif old is None or old.at != new.at:
            self.set_timer(key, new.at)
        if kind in ("lead", "job") and (old is None or old.pending != new.pending):
            location, name = rest.split(" ")
            asker = name if kind == "lead" else f"job {name}"  # no lead's id has a space
            if new.pending is None:
                self._sql.execute("DELETE FROM pending WHERE location = ? AND asker = ?", (location, asker))
            else:
                self._sql.execute(put_pending, (location, asker, *new.pending))
        if kind == "request" and (old is None or old.open_request != new.open_request):
            self._sql.execute(put_request if new.open_request else drop_request, rest.split(" "))
        if kind == "job" and (old is None or old.job != new.job):
            location, request = rest.split(" ")
            self._sql.execute("DELETE FROM job WHERE request = ? AND location = ?", (request, location))
            if new.job:
                self._sql.execute("INSERT INTO job VALUES (?, ?, ?, ?)", (request, location, *new.job))

    def set_timer(self, key: str, at: int | None) -> None:
        """Set the timer of a key to `at` (ms); None removes it."""
        if at is None:
            self._sql.execute("DELETE FROM timer WHERE key = ?", (key,))
        else:
            self._sql.execute("INSERT OR REPLACE INTO timer VALUES (?, ?)", (key, at))

    def set_timer_no_later(self, key: str, at: int | None) -> None:
        """Set the timer of a key to `at` (ms) unless it is due sooner already."""
        if at is not None:
            sooner = "INSERT INTO timer VALUES (?, ?) ON CONFLICT DO UPDATE SET at = min(at, excluded.at)"
            self._sql.execute(sooner, (key, at))

    def due_timers(self, now: int, limit: int) -> list[str]:
        """Return the keys that are due, the earliest first."""
        found = self._sql.execute("SELECT key FROM timer WHERE at <= ? ORDER BY at LIMIT ?", (now, limit))
        return [key for (key,) in found]

    def wake_at(self) -> int | None:
        at: int | None = self._sql.execute("SELECT min(at) FROM timer").fetchone()[0]
        return at

    def open_requests(self, location: str, lead: str, limit: int) -> list[str]:
        """Return the ids of the lead's requests that are not answered."""
        found = self._sql.execute(
            "SELECT request FROM open_request WHERE location = ? AND lead = ? LIMIT ?", (location, lead, limit)
        )
        return [request for (request,) in found]

    def first_due(self, location: str) -> dict[int, int]:
        """Return by queue when its first waiting question became due; queues without one are left out."""
        found = self._sql.execute(first_of_each_queue, {"location": location}).fetchone()
        return {queue: at for queue, at in enumerate(found) if at is not None}

    def pending(self, location: str, queue: int, now: int, limit: int) -> Iterator[tuple[str, Pending]]:
        """Yield the leads with a due question of this queue, and the question; the one due longest first."""
        query = """SELECT asker, queue, at, kind, value, width FROM pending
                   WHERE location = ? AND queue = ? AND slot IS NULL AND at <= ? AND kind != 'page'
                   ORDER BY at LIMIT ?"""
        for lead, *row in self._sql.execute(query, (location, queue, now, limit)):
            yield lead, Pending(*row)

    def queued(self, location: str) -> dict[int, int]:
        """Count the questions of each urgent queue, waiting or in flight. Jobs have counters of their own."""
        counted: dict[int, int] = {}
        for query in (count_waiting, count_in_flight):
            for queue, count in self._sql.execute(query, (location,)):
                counted[queue] = counted.get(queue, 0) + count
        return counted

    def oldest_pending(self, location: str) -> int | None:
        """Return when the question that has been due longest became due."""
        in_flight = self._sql.execute(oldest_in_flight, (location,)).fetchone()[0]
        since = [*self.first_due(location).values(), *([in_flight] if in_flight is not None else [])]
        return min(since, default=None)

    def call_granted(self, location: str, askers: Iterable[str], slot: int) -> None:
        """Note that the call in `slot` asks for these leads, or for this job."""
        mark = "UPDATE pending SET slot = ? WHERE location = ? AND asker = ?"
        self._sql.executemany(mark, ((slot, location, asker) for asker in askers))

    def call_finished(self, location: str, slot: int) -> None:
        """Note that the call in `slot` is over: questions of its that are still open wait again."""
        self._finished.append((location, slot))

    def release_finished(self) -> None:
        """Let the questions of finished calls wait again; by now most of them are answered, and deleted."""
        if self._finished:
            self._sql.executemany("UPDATE pending SET slot = NULL WHERE location = ? AND slot = ?", self._finished)
            self._finished.clear()

    def calls_in_flight(self, location: str, queues: Iterable[int]) -> int:
        """Count the calls in flight that ask questions of these queues."""
        query = "SELECT DISTINCT slot, queue FROM pending WHERE location = ? AND slot IS NOT NULL"
        return len({slot for slot, queue in self._sql.execute(query, (location,)) if queue in queues})

    def any_job(self) -> bool:
        """True if any location has a job that isn't over."""
        return self._sql.execute("SELECT 1 FROM job LIMIT 1").fetchone() is not None

    def first_job(self, location: str) -> str | None:
        """Return the job that goes first: a Sync All before a backfill's, then in the order of acceptance."""
        query = "SELECT request FROM job WHERE location = ? ORDER BY lane, accepted_at, request LIMIT 1"
        row = self._sql.execute(query, (location,)).fetchone()
        return row[0] if row else None

    def last_accepted(self, location: str) -> int:
        """Return when the latest job of the location that isn't over was accepted; 0: there is none."""
        query = "SELECT max(accepted_at) FROM job WHERE location = ?"
        at: int | None = self._sql.execute(query, (location,)).fetchone()[0]
        return at or 0

    def locations_of_job(self, request: str, after: str, limit: int) -> list[str]:
        """Return locations with a job of this request that isn't over, in the order of their ids."""
        query = "SELECT location FROM job WHERE request = ? AND location > ? ORDER BY location LIMIT ?"
        return [location for (location,) in self._sql.execute(query, (request, after, limit))]

    def page_due(self, location: str, request: str) -> int | None:
        """Return when the job's next page is due; None: it has none, or it is in flight."""
        query = "SELECT at FROM pending WHERE location = ? AND asker = ? AND slot IS NULL"
        row = self._sql.execute(query, (location, f"job {request}")).fetchone()
        return row[0] if row else None

    def count_queue(self, location: str, queue: int) -> int:
        """Count the questions of this queue that wait."""
        query = "SELECT count(*) FROM pending INDEXED BY pending_next WHERE location = ? AND queue = ? AND slot IS NULL"
        count: int = self._sql.execute(query, (location, queue)).fetchone()[0]
        return count

    def leads(self, location: str, after: str, limit: int) -> list[str]:
        """Return the location's leads that have a document, in the order of their ids."""
        query = "SELECT key FROM document WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
        first = f"lead {location} "
        found = self._sql.execute(query, (first + after, f"lead {location}!", limit))  # ! follows the space
        return [key[len(first) :] for (key,) in found]

    def locations(self, after: str, limit: int) -> list[str]:
        """Return the locations that have a lead, in the order of their ids."""
        found: list[str] = []
        while len(found) < limit:
            behind = f"lead {found[-1] if found else after}!" if found or after else "lead "
            query = "SELECT min(key) FROM document WHERE key > ? AND key < 'lead!'"
            (key,) = self._sql.execute(query, (behind,)).fetchone()
            if key is None:
                break
            found.append(key.split(" ")[1])
        return found

    def askers(self, location: str, after: str, limit: int, queue: int | None = None) -> list[str]:
        """Return leads with an open question, in the order of their ids; of one queue, or of all."""
        query = """SELECT asker FROM pending WHERE location = ? AND asker > ? AND (? IS NULL OR queue = ?)
                   AND kind != 'page' ORDER BY asker LIMIT ?"""
        return [lead for (lead,) in self._sql.execute(query, (location, after, queue, queue, limit))]

    def waiting_for(self, location: str, question: Question, limit: int) -> list[str]:
        """Return leads for which a listing looks for this value, or that a GET of this contact serves."""
        row = (location, question.kind.value, question.value, limit)
        return [lead for (lead,) in self._sql.execute(waiting_for_value, row)]

    def matched_by(self, location: str, contact: str, limit: int) -> list[str]:
        """Return leads for which a scan has found this contact."""
        query = "SELECT asker FROM pending WHERE location = ? AND matched = ? LIMIT ?"
        return [lead for (lead,) in self._sql.execute(query, (location, contact, limit))]


put_pending: Final = """
INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET
    slot = CASE WHEN (kind, value) = (excluded.kind, excluded.value) THEN slot END,
    queue = excluded.queue, at = excluded.at, kind = excluded.kind, value = excluded.value, width = excluded.width,
    waiting = excluded.waiting, matched = excluded.matched
"""  # the same question is in flight already, whichever lead asks it now
put_request: Final = "INSERT OR REPLACE INTO open_request VALUES (?, ?, ?)"
drop_request: Final = "DELETE FROM open_request WHERE location = ? AND lead = ? AND request = ?"
first_of_each_queue: Final = """
SELECT
    (SELECT min(at) FROM pending WHERE location = :location AND queue = 0 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND queue = 1 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND queue = 2 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND queue = 3 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND queue = 4 AND slot IS NULL),
    (SELECT min(at) FROM pending WHERE location = :location AND queue = 5 AND slot IS NULL)
"""  # an index look-up each, however many wait
# left to itself, SQLite takes these for a walk through the location
waiting_for_value: Final = """
SELECT asker FROM pending INDEXED BY pending_waiting WHERE waiting AND location = ? AND kind = ? AND value = ? LIMIT ?
"""
count_waiting: Final = """
SELECT queue, count(*) FROM pending INDEXED BY pending_next WHERE location = ? AND queue < 2 AND slot IS NULL
GROUP BY queue
"""
count_in_flight: Final = """
SELECT queue, count(*) FROM pending INDEXED BY pending_slot WHERE location = ? AND queue < 2 AND slot IS NOT NULL
GROUP BY queue
"""
oldest_in_flight: Final = """
SELECT min(at) FROM pending INDEXED BY pending_slot WHERE location = ? AND slot IS NOT NULL
"""
