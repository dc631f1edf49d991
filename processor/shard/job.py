"""The documents of jobs: a Sync All or a backfill's share of a location, and what a partition does for a backfill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Self

import orjson

from processor.highlevel.contact import Cursor
from processor.ratelimit.budget import Lane
from processor.shard.lead import Lead
from processor.shard.state import Changes
from processor.shard.tables import Pending, Projection
from processor.shard.tally import Tally

remembered_ms: Final = 24 * 3_600_000  # DESIGN §3: the same request id is the same job
refused_at_most: Final = 3  # searches for several values; a poisoned value among them refuses only its own
tell_every_ms: Final = 1_000  # progress of a job, at most

Stage = Literal[
    "queued",
    "opening",
    "planning",
    "scanning",
    "deciding",
    "asking",
    "exporting",
    "closing",
    "messaging",
    "leaving",
    "over",
]
walks: Final = frozenset(
    ("opening", "deciding", "closing", "leaving")
)  # stages that go through its leads, some in a turn
going: Final = frozenset(("scanning", "deciding", "asking", "exporting", "closing", "messaging"))  # it is under way


@dataclass(slots=True)
class Told:
    """What the screens were told last."""

    started: int = 0  # ms, when `sync.started` was sent; 0: not yet
    at: int = 0  # ms
    number: int = 0  # of the event, so that its id is unique
    held: str | None = None  # why it stands still
    until: int | None = None  # ms, so long it will
    anew: bool = False  # there is something to tell


@dataclass(slots=True)
class Job:
    """A durable job over every lead of a location."""

    location: str
    id: str  # request id
    lane: Lane = Lane.JOB
    cause: str = ""  # event id
    since: int = 0  # ms, Kafka timestamp of the request
    heard: int = 0  # ms, when we took it up
    changes_end: int = 0  # lead.changes must be read up to here before it starts
    dry: bool = False  # only planned
    messages: bool = False  # they are wanted, too
    stage: Stage = "queued"
    due: int = 0  # ms, when its next step is, whatever comes in
    walked: str = ""  # the lead that a walk through its leads has come to
    lent: int = 0  # leads whose pending change it serves
    giving: str | None = None  # the lead that giving these back has come to
    asks: dict[str, int] = field(default_factory=dict)  # leads that lack something: by what they are to be asked
    gaps: dict[str, int] = field(default_factory=dict)  # of these, by field that is worth a GET
    plan: str | None = None  # scan | probe
    page: int = 0  # the number of the scan's next page
    after: Cursor | None = None  # what the page follows
    scan_from: int = 0  # ms, when the scan's first page was asked for
    scans: int = 0  # begun so far
    last_pass: bool = False  # over contacts that were changed during the scan
    attempts: int = 0  # at this page
    ors: dict[str, int] = field(default_factory=dict)  # searches for several values: answered, refused
    readers: int = 0  # leads whose messages are wanted, when all else was known
    reads: str | None = None  # location | contacts: what is exported
    cursor: str | None = None  # what continues the location's export
    message_at: int = 0  # ms, of the last message heard
    export_from: int | None = None  # ms, where the export began: its pages ask the same
    anew: int = 0  # times that the cursor was refused
    messages_failed: bool = False
    reason: str | None = None
    ended: int = 0  # ms, when its end was told
    tally: Tally = field(default_factory=Tally)
    told: Told = field(default_factory=Told)

    @property
    def key(self) -> str:
        return f"job {self.location} {self.id}"

    @property
    def is_backfills(self) -> bool:
        return self.lane == Lane.BACKFILL

    @property
    def kind(self) -> str:
        return "sync.backfill.requested" if self.is_backfills else "sync.location.requested"

    @property
    def searches(self) -> int:
        """Leads that a search, or a page of a scan, may tell something of."""
        return sum(self.asks.values()) - self.asks.get("get", 0)

    @property
    def ors_refused(self) -> bool:
        """HighLevel takes no search for several values: some were refused, and none was ever answered."""
        return self.ors.get("refused", 0) >= refused_at_most and not self.ors.get("answered")

    @property
    def wants_page(self) -> bool:
        return self.stage in ("scanning", "exporting")

    def to(self, stage: Stage, now: int) -> None:
        """Go on to the next stage."""
        self.stage, self.due, self.walked, self.told.anew = stage, now, "", True

    def walk(self, found: Sequence[str], limit: int) -> bool:
        """It has come through these leads. Whether they were the last ones."""
        self.walked = found[-1] if found else self.walked
        return len(found) < limit

    def next_page(self, after: Cursor | None) -> None:
        self.page, self.after, self.cursor, self.attempts = self.page + 1, after, None, 0

    def scan_anew(self, now: int) -> None:
        """From the first page. Answers to pages of before count no more."""
        self.last_pass, self.scan_from, self.scans = False, 0, self.scans + 1
        self.next_page(None)
        self.to("scanning", now)

    def projection(self) -> Projection:
        if self.stage == "over":
            return Projection(at=self.ended + remembered_ms)
        at = self.due if self.stage in (*walks, "queued") or self.giving is not None else None
        if self.told.anew and self.told.started:
            at = min(at or self.told.at + tell_every_ms, self.told.at + tell_every_ms)
        page = Pending(self.lane, self.due, "page", str(self.page), 1) if self.wants_page else None
        return Projection(at or None, page, job=(self.lane, self.heard))

    def encode(self) -> bytes | None:
        if self.stage == "over":
            return None if self.ended < 0 else orjson.dumps({"stage": "over", "ended": self.ended})
        return encode(self)

    @classmethod
    def decode(cls, location: str, request: str, stored: bytes) -> Self:
        return cls(location, request, **decode(stored))

    @classmethod
    def of(cls, changes: Changes, location: str, request: str) -> "Job | None":
        return changes.find(f"job {location} {request}", lambda stored: cls.decode(location, request, stored))


@dataclass(slots=True)
class Backfill:
    """A partition's part of a backfill: a job in every location that it owns."""

    id: str  # request id
    cause: str = ""  # event id
    since: int = 0  # ms, Kafka timestamp of the request
    heard: int = 0  # ms
    changes_end: int = 0
    dry: bool = False
    messages: bool = False
    stage: Literal["queued", "listing", "asking", "leaving", "over"] = "queued"
    due: int = 0  # ms, when its next step is
    walked: str = ""  # the location that listing or leaving has come to
    jobs: int = 0  # locations listed
    over: int = 0  # of these, the ones that are done
    held: int = 0  # of these, the ones that stand still
    eta: int | None = None
    ended: int = 0
    tally: Tally = field(default_factory=Tally)
    told: Told = field(default_factory=Told)

    @property
    def key(self) -> str:
        return f"backfill {self.id}"

    def to(self, stage: Literal["listing", "asking", "leaving", "over"], now: int) -> None:
        self.stage, self.due, self.walked, self.told.anew = stage, now, "", True

    def projection(self) -> Projection:
        if self.stage == "over":
            return Projection(at=self.ended + remembered_ms)
        at = self.due if self.stage != "asking" else None
        if self.told.anew and self.told.started:
            at = min(at or self.told.at + tell_every_ms, self.told.at + tell_every_ms)
        return Projection(at or None)

    def encode(self) -> bytes | None:
        if self.stage == "over":
            return None if self.ended < 0 else orjson.dumps({"stage": "over", "ended": self.ended})
        return encode(self)

    @classmethod
    def decode(cls, request: str, stored: bytes) -> Self:
        return cls(request, **decode(stored))

    @classmethod
    def of(cls, changes: Changes, request: str) -> "Backfill | None":
        return changes.find(f"backfill {request}", lambda stored: cls.decode(request, stored))


def encode(document: Job | Backfill) -> bytes:
    """Defaults are left out."""
    blank = type(document)("", "")
    said = {one.name: getattr(document, one.name) for one in fields(document) if one.name not in ("id", "location")}
    said = {name: value for name, value in said.items() if value != getattr(blank, name)}
    for name, part in (("tally", document.tally), ("told", document.told)):
        said[name] = {one.name: value for one in fields(part) if (value := getattr(part, one.name))}
    return orjson.dumps(said)


def decode(stored: bytes) -> Mapping[str, Any]:  # JSON is untyped
    read: dict[str, Any] = {"tally": {}, "told": {}} | orjson.loads(stored)
    if "after" in read:
        read["after"] = tuple(read["after"])
    return read | {"tally": Tally(**read["tally"]), "told": Told(**read["told"])}


def active(changes: Changes, location: str) -> Job | None:
    """The location's job that may make calls now."""
    first = changes.first_job(location)
    job = Job.of(changes, location, first) if first else None
    return job if job and not has_ended(changes, job) else None


def has_ended(changes: Changes, job: Job) -> bool:
    """Its end was told, or that of the backfill that it is part of."""
    whole = Backfill.of(changes, job.id) if job.is_backfills else None
    return bool(job.ended or (whole and whole.ended))


def served(changes: Changes, lead: Lead) -> list[Job]:
    """The jobs that wait for this lead."""
    asked = lead.open.jobs if lead.open else ()
    found = (Job.of(changes, lead.location, request) for request in asked)
    return [job for job in found if job and not has_ended(changes, job)]


def tallies(changes: Changes, job: Job) -> list[Tally]:
    """Where what happens in a job is counted: with it, and with the backfill that it is part of."""
    counted = [job.tally]
    job.told.anew = True
    if job.is_backfills and (whole := Backfill.of(changes, job.id)):
        whole.told.anew = True
        counted.append(whole.tally)
    return counted
