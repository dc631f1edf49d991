"""The documents of jobs: a Sync All or a backfill's share of a location, and what a partition does for a backfill."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Self, TypeVar

from processor.highlevel.contact import Cursor
from processor.ratelimit.budget import Lane
from processor.ratelimit.headers import day_ms
from processor.shard.documents.document import Document, Fields, read_fields, split_unknown, write_fields
from processor.shard.documents.format1 import upgrade_backfill, upgrade_job
from processor.shard.documents.work import lanes
from processor.shard.indexes import Pending, Projection
from processor.shard.jobs.machine import JobStage, Step, backfill_transitions, paging, transitions, walking

remembered_job_ms: Final = day_ms  # DESIGN §3: the same request id is the same job
refusals_at_most: Final = 3  # multi-value searches; a poisoned value among them refuses only its own
progress_every_ms: Final = 1_000  # of a job, at most

P = TypeVar("P")


@dataclass(slots=True)
class JobCounters:
    """Counters of a job: every lead has exactly one outcome (DESIGN §3, `sync.*` progress)."""

    leads: int = 0  # of the job; one deleted meanwhile leaves it
    done: dict[str, int] = field(default_factory=dict)  # by outcome
    filled: dict[str, int] = field(default_factory=dict)  # leads by field
    looked_up: int = 0  # of those done, the ones that HighLevel had to be asked about
    messages: int = 0  # imported
    planned: int = 0  # calls
    spent: int = 0

    @property
    def leads_done(self) -> int:
        return sum(self.done.values())

    @property
    def complete(self) -> bool:
        return self.leads_done >= self.leads

    def count(self, outcome: str, filled: Iterable[str], looked_up: bool, messages: int) -> None:
        """One lead has its outcome."""
        self.done[outcome] = self.done.get(outcome, 0) + 1
        self.looked_up += looked_up
        self.messages += messages
        for name in filled:
            self.filled[name] = self.filled.get(name, 0) + 1


@dataclass(slots=True)
class ProgressReport:
    """The last report of a job, and when the next one is due."""

    started: int = 0  # ms, when `sync.started` was published; 0: not yet
    at: int = 0  # ms
    number: int = 0  # of the event, so that its id is unique
    paused: str | None = None  # the reason why it stands still
    until: int | None = None  # ms, so long it will
    has_news: bool = False  # there is something to report


@dataclass(slots=True)
class Listing:
    """Pages of contacts or messages, asked for one after the other."""

    page: int = 0  # the number of the next page; a response to an older one is not applied
    after: Cursor | str | None = None  # what the page follows
    attempts: int = 0  # at this page

    def next_page(self, after: Cursor | str | None) -> None:
        self.page, self.after, self.attempts = self.page + 1, after, 0


@dataclass(slots=True)
class ContactScan:
    """Pages of all contacts, and the catch-up pass over those that changed meanwhile."""

    number: int = 0  # of the job's scans, begun so far
    started: int = 0  # ms, when its first page was asked for
    catching_up: bool = False


@dataclass(slots=True)
class MessageExport:
    """Pages of all messages of the location, if that is cheaper than contact by contact."""

    contacts: int = 0  # those needing messages, when all else was known
    whole: bool | None = None  # True: of the location, False: contact by contact, None: not planned yet
    newest: int = 0  # ms, of the last message ingested
    export_from: int | None = None  # ms, where the export began: its pages ask the same
    restarts: int = 0  # times that the cursor was refused
    failed: bool = False


class DurableJob(Document):
    """A location's job and a partition's backfill have these fields and steps in common."""

    id: str
    changes_end: int
    stage: JobStage
    due: int
    walked: str
    ended: int
    counters: JobCounters
    report: ProgressReport
    table: ClassVar[Mapping[tuple[JobStage, Step], JobStage]]

    def advance(self, step: Step, now: int) -> None:
        """Go on to the next stage. Raises KeyError for a step that its stage doesn't have."""
        self.stage = self.table[self.stage, step]
        self.due, self.walked, self.report.has_news = now, "", True

    def forget(self) -> None:
        """Its memory is over: the document is deleted."""
        self.ended = -1

    def walk(self, found: Sequence[str], limit: int) -> bool:
        """It has come through these items. Return True if they were the last ones."""
        self.walked = found[-1] if found else self.walked
        return len(found) < limit

    def timer(self, at: int | None) -> int | None:
        """Return when it needs attention: at its own time, or when progress may be reported again."""
        if self.stage is JobStage.OVER:
            return self.ended + remembered_job_ms
        if self.report.has_news and self.report.started:
            report_at = self.report.at + progress_every_ms
            at = min(at or report_at, report_at)
        return at or None

    def encode(self) -> bytes | None:
        """Return the stored bytes; defaults are left out."""
        if self.stage is JobStage.OVER:
            return None if self.ended < 0 else write_fields({"stage": self.stage, "ended": self.ended}, None)
        new = type(self)(*[""] * len(self.key.split(" ")[1:]))
        names = (one.name for one in fields(self) if one.name not in ("id", "location", "unknown"))  # type: ignore[arg-type]  # subclasses are dataclasses
        stored = {name: value for name in names if (value := getattr(self, name)) != getattr(new, name)}
        return write_fields(stored, getattr(self, "unknown", None))


@dataclass(slots=True)
class Job(DurableJob):
    """A durable job over every lead of a location."""

    kind: ClassVar[str] = "job"
    table: ClassVar = transitions

    location: str
    id: str  # request id
    lane: Lane = Lane.JOB
    cause: str = ""  # event id
    published_at: int = 0  # ms, Kafka timestamp of the request
    accepted_at: int = 0  # ms, when this shard took it up
    changes_end: int = 0  # lead.changes must be read up to here before it starts
    dry_run: bool = False
    wants_messages: bool = False
    stage: JobStage = JobStage.QUEUED
    due: int = 0  # ms, when its next step is, whatever comes in
    walked: str = ""  # the lead that a walk through its leads has come to
    borrowed: int = 0  # leads whose pending change it serves
    returning: str | None = None  # the lead that returning these has come to
    questions: dict[str, int] = field(default_factory=dict)  # leads that lack something, by kind of question
    gaps: dict[str, int] = field(default_factory=dict)  # of these, by field that is worth a GET
    plan: str | None = None  # scan | probe
    listing: Listing = field(default_factory=Listing)
    scan: ContactScan = field(default_factory=ContactScan)
    export: MessageExport = field(default_factory=MessageExport)
    multi_value: dict[str, int] = field(default_factory=dict)  # searches for several values: answered, refused
    reason: str | None = None
    ended: int = 0  # ms, when its end was reported
    counters: JobCounters = field(default_factory=JobCounters)
    report: ProgressReport = field(default_factory=ProgressReport)
    unknown: Fields | None = None

    @property
    def key(self) -> str:
        return f"job {self.location} {self.id}"

    @property
    def of_backfill(self) -> bool:
        return self.lane is Lane.BACKFILL

    @property
    def request_type(self) -> str:
        return "sync.backfill.requested" if self.of_backfill else "sync.location.requested"

    @property
    def searches(self) -> int:
        """Return the number of leads that a search, or a page of a scan, may answer."""
        return sum(self.questions.values()) - self.questions.get("contact", 0)

    @property
    def multi_value_unsupported(self) -> bool:
        """True if HighLevel takes no multi-value search: some were refused, and none was ever answered."""
        return self.multi_value.get("refused", 0) >= refusals_at_most and not self.multi_value.get("answered")

    @property
    def wants_page(self) -> bool:
        return self.stage in paging

    def scan_anew(self, now: int) -> None:
        """Scan from the first page. Responses to pages of before count no more."""
        self.scan = ContactScan(self.scan.number + 1)
        self.listing.next_page(None)
        self.advance(Step.SCAN, now)

    def projection(self) -> Projection:
        waits = self.stage in walking or self.stage is JobStage.QUEUED or self.returning is not None
        at = self.timer(self.due if waits else None)
        if self.stage is JobStage.OVER:
            return Projection(at)
        page = Pending(int(self.lane), self.due, "page", str(self.listing.page), 1) if self.wants_page else None
        return Projection(at, page, job=(int(self.lane), self.accepted_at))

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        read = decode_job(cls, stored, upgrade_job)
        if "lane" in read:
            read["lane"] = lanes[read["lane"]]
        if listing := read.get("listing"):
            after = listing.get("after")
            read["listing"] = Listing(**listing | {"after": tuple(after) if isinstance(after, list) else after})
        for name, part in (("scan", ContactScan), ("export", MessageExport)):
            if name in read:
                read[name] = part(**read[name])
        location, request = ids
        return cls(location, request, **read)


@dataclass(slots=True)
class Backfill(DurableJob):
    """A partition's part of a backfill: a job in every location that it owns."""

    kind: ClassVar[str] = "backfill"
    table: ClassVar = backfill_transitions

    id: str  # request id
    cause: str = ""  # event id
    published_at: int = 0  # ms, Kafka timestamp of the request
    accepted_at: int = 0  # ms
    changes_end: int = 0
    dry_run: bool = False
    wants_messages: bool = False
    stage: JobStage = JobStage.QUEUED
    due: int = 0  # ms, when its next step is
    walked: str = ""  # the location that listing or leaving has come to
    jobs: int = 0  # locations listed
    jobs_over: int = 0  # of these, the ones that are done
    jobs_paused: int = 0  # of these, the ones that stand still
    eta: int | None = None
    ended: int = 0
    counters: JobCounters = field(default_factory=JobCounters)
    report: ProgressReport = field(default_factory=ProgressReport)
    unknown: Fields | None = None

    @property
    def key(self) -> str:
        return f"backfill {self.id}"

    def projection(self) -> Projection:
        return Projection(self.timer(None if self.stage is JobStage.SERVING else self.due))

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        (request,) = ids
        return cls(request, **decode_job(cls, stored, upgrade_backfill))


def decode_job(kind: type[Job | Backfill], stored: bytes | None, upgrade: Any) -> Fields:
    """Return the fields that both kinds have in common as objects, the others as they are stored."""
    if stored is None:
        return {}
    read = read_fields(stored, upgrade)
    unknown = split_unknown(read, {one.name: None for one in fields(kind)})
    if "stage" in read:
        read["stage"] = JobStage(read["stage"])
    for name, part in (("counters", JobCounters), ("report", ProgressReport)):
        if name in read:
            read[name] = part(**read[name])
    return read | {"unknown": unknown}
