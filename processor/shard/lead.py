"""A lead's document: the snapshot upstream gave, what was learned from HighLevel, and the lead's open work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import orjson

from processor.events.contract import HYDRATABLE
from processor.highlevel.contact import digits, e164, normal_email
from processor.ratelimit.budget import Lane
from processor.shard.resolve import Evidence
from processor.shard.state import Changes
from processor.shard.tables import Pending, Projection, nothing

forgotten_after_ms: Final = 7 * 24 * 3_600_000  # DESIGN §3: a deleted lead's revision is kept 7 days
facts: Final = ("contact_id", *HYDRATABLE)
causes_kept: Final = 32  # DESIGN §3: the latest of those that aren't requests
messages_lane: Final = 2  # the lane of a job's messages lies so far behind its own, in the table of what is pending
leads_per_value: Final = 4  # that a job's page looks for by the same value; more are asked about one by one
checkpoints_kept: Final = 4
width_unlimited: Final = 1_000


class Question(NamedTuple):
    by: str  # email | phone | id in a search, get: the contact itself, export: its messages
    value: str


@dataclass(slots=True)
class Memory:
    """HighLevel knew no more than this: changes that touch nothing of it don't ask again before `until`."""

    until: int
    pause: int  # doubles each time
    gaps: list[str]


@dataclass(slots=True)
class Dead:
    """A linked contact that HighLevel says is gone."""

    contact_id: str
    until: int  # ms, not linked again before


@dataclass(slots=True)
class Seen:
    """The state of a contact that a payload showed."""

    contact_id: str
    updated: int | None  # its dateUpdated, ms
    origin: str = "contact"  # search | contact


@dataclass(slots=True)
class Checkpoint:
    """How far a contact's messages have been imported."""

    at: int = 0  # ms, of the newest message; 0: none was imported
    floor: int = 0  # ms, everything sent before has been seen
    recent: dict[str, int] = field(default_factory=dict)  # ids of those sent since, and when


@dataclass(slots=True)
class Open:
    """The lead's open work: why, how urgent, and how far it has come."""

    since: int  # ms, Kafka timestamp of the first cause
    heard: int  # ms, when we took it up
    lane: int = Lane.CHANGE
    causes: list[list[str]] = field(default_factory=list)  # [event id, type], without requests
    asked: int = 0  # requests that wait for the answer; they are documents of their own
    jobs: list[str] = field(default_factory=list)  # request ids of jobs that wait for it
    due: int = 0  # ms, not asked before
    attempts: int = 0
    first_look: int = 0  # ms, of a young lead, which is looked for again
    width: int = width_unlimited  # shares a search with at most so many values
    question: Question | None = None
    looked: bool = False  # HighLevel was asked, so there is something to say
    searched: str | None = None  # contact id that a search was asked about in this work
    payload: Seen | None = None  # the contact last seen in this work
    calls: dict[str, int] = field(default_factory=dict)
    permit_ms: int = 0
    network_ms: int = 0
    covered: bool = False  # a scan of all contacts, whole when it ends, looks for it
    hits: Evidence | None = None  # what that scan has found so far
    scan: int = 0  # which of the job's scans it was
    wants_messages: bool = False  # somebody asked for them
    messages: str | None = None  # what came of it: imported | none | failed
    imported: int = 0  # messages, in this work
    untold: int = 0  # of these, the ones that no result has told of
    cursor: str | None = None  # what continues the export
    export_from: int | None = None  # ms, where that export began: its pages ask the same
    evidence: Evidence | None = None  # of the answer heard in this very turn; settled before it ends

    def start_over(self) -> None:
        """The question changed: what was found for the old one says nothing."""
        self.attempts = self.first_look = self.due = 0
        self.payload = self.searched = self.evidence = None
        self.width = width_unlimited
        self.messages = self.cursor = None
        self.uncover()

    def uncover(self) -> None:
        """What a scan has found, or will, says nothing of it."""
        self.covered, self.hits = False, None

    @property
    def said_of_messages(self) -> tuple[str, int]:
        """What a result tells of them, as the contract words it, and how many came. Of an export that goes on: nothing."""
        match self.messages:
            case None:
                return "not_asked", 0
            case "failed":
                return "failed", self.untold
        return "imported" if self.untold else "none", self.untold

    @property
    def looked_up(self) -> bool:
        """HighLevel had to be asked about the contact."""
        return self.looked or bool(self.question and self.question.by != "export")

    @property
    def wanted(self) -> bool:
        """Somebody waits for what comes of it."""
        return bool(self.causes or self.asked or self.jobs)

    def leave(self, request: str, lane: int) -> None:
        """A job of this lane waits no more: the rest of the work is for others, and as urgent as theirs."""
        if request in self.jobs:
            self.jobs.remove(request)
            if self.lane == lane:  # else a more urgent one has it, and keeps what it found
                self.hits = None
                self.give_back()

    def give_back(self) -> None:
        """Work that a job took along is the change lane's again; what only jobs want is the lowest one's."""
        if self.lane >= Lane.JOB:
            self.lane = Lane.CHANGE if self.causes or self.asked else Lane.BACKFILL if self.jobs else Lane.JOB


@dataclass(slots=True)
class Lead:
    location: str
    id: str
    revision: int | None = None  # None: asked about, but never seen
    sequence: int = 0  # of the last result
    created: int = 0
    deleted: int | None = None  # ms, when the deletion was heard
    snapshot: dict[str, str] = field(default_factory=dict)  # known fields only
    learned: dict[str, str] = field(default_factory=dict)  # facts that the snapshot lacks
    resolved_by: str | None = None
    hydrated_from: str | None = None
    memory: Memory | None = None
    fetched: Seen | None = None  # by the last GET
    dead: Dead | None = None
    open: Open | None = None
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)  # by contact, the latest few
    expires: int | None = None  # ms; a document that only remembers

    @property
    def key(self) -> str:
        return f"lead {self.location} {self.id}"

    @property
    def contact_id(self) -> str | None:
        """The linked contact, unless HighLevel said that it is gone."""
        linked = self.snapshot.get("contact_id")
        return linked if linked and not self.is_dead(linked) else self.learned.get("contact_id")

    def is_dead(self, contact_id: str) -> bool:
        return self.dead is not None and self.dead.contact_id == contact_id

    def known(self, name: str) -> str | None:
        return self.snapshot.get(name) or self.learned.get(name)

    def gaps(self) -> list[str]:
        """Hydratable fields that neither upstream nor HighLevel has given."""
        return [name for name in HYDRATABLE if name not in self.snapshot and name not in self.learned]

    @property
    def is_there(self) -> bool:
        """Upstream told of it, and not that it is deleted."""
        return self.revision is not None and self.deleted is None

    @property
    def lacks_nothing(self) -> bool:
        """Upstream knows all that there is to know; most changes are of such leads."""
        return self.contact_id is not None and not self.learned and not self.gaps()

    def checkpoint(self, contact: str) -> Checkpoint:
        """Of this contact, the latest; of former ones a few are kept, since a link may come back."""
        self.checkpoints[contact] = self.checkpoints.pop(contact, Checkpoint())
        for former in list(self.checkpoints)[:-checkpoints_kept]:
            del self.checkpoints[former]
        return self.checkpoints[contact]

    def identity(self) -> tuple[str, str]:
        """What the lead is looked up by. While it stays the same, what was learned holds."""
        email, phone = self.known("email") or "", self.known("phone") or ""
        return normal_email(email) or email, digits(phone)

    def lookup(self) -> Question | None:
        """What to search by: e-mail when usable, else phone (DESIGN §7.2)."""
        if email := normal_email(self.snapshot.get("email", "")):
            return Question("email", email)
        if phone := e164(self.snapshot.get("phone", "")):
            return Question("phone", phone)
        return None

    def take(self, snapshot: Mapping[str, str], revision: int, created: int, now: int) -> None:
        """A newer snapshot. What was learned of another identity or contact is forgotten."""
        told = self.snapshot
        same = told.get("email") == snapshot.get("email") and told.get("phone") == snapshot.get("phone")
        before, linked = self.identity() if not same else None, self.contact_id
        self.revision, self.snapshot = revision, dict(snapshot)
        self.created = self.created or created
        self.deleted = self.expires = None
        given = snapshot.get("contact_id")
        if self.dead and given != self.dead.contact_id and now >= self.dead.until:
            self.dead = None
        relinked = given is not None and given != linked and not self.is_dead(given)
        if relinked or (not same and self.identity() != before):
            self.learned, self.memory, self.fetched = {}, None, None
            self.resolved_by = self.hydrated_from = None
            if self.open:
                self.open.start_over()
        for name in [name for name in self.learned if name in self.snapshot and not self.is_dead(self.snapshot[name])]:
            del self.learned[name]

    def forget(self, revision: int, now: int) -> None:
        """Deleted: only the revision and the sequence are remembered, for a while."""
        for name in (*stored, "open"):
            if name != "sequence":
                setattr(self, name, {} if name in ("snapshot", "learned", "checkpoints") else None)
        self.revision, self.created = revision, 0
        self.deleted, self.expires = now, now + forgotten_after_ms

    def work(self, since: int, now: int) -> Open:
        """The open work, begun if there is none."""
        if self.open is None:
            self.open = Open(since, now)
        self.open.since = min(self.open.since, since)
        self.expires = None
        return self.open

    def cause(self, event_id: str, kind: str, since: int, now: int) -> None:
        """An event that wants this lead looked at."""
        work = self.work(since, now)
        causes = work.causes
        work.lane = min(work.lane, Lane.CHANGE)  # a job may get to it late
        if [event_id, kind] not in causes:
            causes.append([event_id, kind])
            del causes[:-causes_kept]

    def projection(self) -> Projection:
        work = self.open
        if work is None:
            return Projection(at=self.expires) if self.expires else nothing
        if self.revision is None or self.deleted is not None:
            return Projection(at=work.due)  # waits for the lead itself to come
        if work.question is None:
            return nothing
        lane, exports = work.lane, work.question.by == "export"
        if exports and lane >= Lane.JOB:
            lane += messages_lane  # a job reads messages when all else is known
        sought = work.lane >= Lane.JOB and (work.covered or work.question.by == "get")
        hit = work.hits.best.id if sought and work.hits and work.hits.best else None
        at = max(work.due, work.heard)
        return Projection(pending=Pending(lane, at, *work.question, work.width, sought, hit))

    def encode(self) -> bytes | None:
        """Defaults are left out: most documents hold a snapshot and little else."""
        if self.revision is None and self.open is None and self.expires is None:
            return None
        document = {name: value for name in stored if (value := getattr(self, name))}
        document["revision"] = self.revision
        if self.open:
            document["open"] = {name: value for name in stored_open if (value := getattr(self.open, name))}
            if self.open.hits:
                document["open"]["hits"] = self.open.hits.encode()
        return orjson.dumps(document, default=list)  # a Question is a tuple with names

    @classmethod
    def decode(cls, location: str, lead: str, document: bytes) -> Self:
        read = orjson.loads(document)
        for name, kind in nested.items():
            if name in read:
                read[name] = kind(**read[name])
        if "checkpoints" in read:
            read["checkpoints"] = {contact: Checkpoint(**said) for contact, said in read["checkpoints"].items()}
        return cls(location, lead, **read)

    @classmethod
    def of(cls, changes: Changes, location: str, lead: str) -> Self:
        """The lead's document in this turn; a new one if nothing is known of it."""
        return changes.document(
            f"lead {location} {lead}",
            lambda stored: cls.decode(location, lead, stored) if stored else cls(location, lead),
        )


def read_open(
    question: list[str] | None = None,
    payload: dict[str, Any] | None = None,
    hits: list[Any] | None = None,
    **read: Any,
) -> Open:  # JSON is untyped
    given = {"since": 0, "heard": 0, "lane": Lane.INTERACTIVE} | read  # zeros are left out
    return Open(
        question=Question(*question) if question else None,
        payload=Seen(**payload) if payload else None,
        hits=Evidence.decode(hits) if hits else None,
        **given,
    )


nested: Final[Mapping[str, Callable[..., object]]] = {
    "memory": Memory,
    "fetched": Seen,
    "dead": Dead,
    "open": read_open,
}
stored: Final = tuple(name for name in Lead.__slots__ if name not in ("location", "id", "open", "revision"))
stored_open: Final = tuple(name for name in Open.__slots__ if name not in ("evidence", "hits"))
