"""A lead's open work: who waits for it, its stage, and the question that HighLevel is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from processor.highlevel.requests import Question, QuestionKind
from processor.ratelimit.budget import Lane
from processor.shard.documents.document import Fields, split_unknown
from processor.shard.match import BestMatch

causes_kept: Final = 32  # DESIGN §3: the latest of those that aren't requests
width_unlimited: Final = 1_000

CauseEntry = list[str]  # event id, type


class MessagesOutcome(StrEnum):
    """The result's word for what became of a contact's messages."""

    IMPORTED = "imported"
    NONE = "none"
    FAILED = "failed"
    NOT_ASKED = "not_asked"


class Failure(StrEnum):
    """The fact that makes a lead's work end as `failed`: HighLevel can't or won't answer its question."""

    REFUSED = "refused"
    UNAVAILABLE = "unavailable"  # too many attempts
    INTERNAL_ERROR = "internal_error"


@dataclass(slots=True)
class ContactVersion:
    """The state of a contact that a payload showed."""

    contact_id: str
    updated: int | None  # its dateUpdated, ms
    origin: str = "contact"  # search | scan | contact


@dataclass(slots=True)
class Waiters:
    """All that wait for the outcome of a lead's work."""

    causes: list[CauseEntry] = field(default_factory=list)  # events that aren't requests
    requests: int = 0  # Syncs; they are documents of their own
    jobs: list[str] = field(default_factory=list)  # request ids

    def any(self) -> bool:
        return bool(self.causes or self.requests or self.jobs)

    def add_cause(self, event_id: str, kind: str) -> None:
        if [event_id, kind] not in self.causes:
            self.causes.append([event_id, kind])
            del self.causes[:-causes_kept]


@dataclass(slots=True)
class Resolve:
    """The first stage finds the lead's contact."""

    first_look_at: int = 0  # ms, of a young lead, which is looked for again
    match: BestMatch | None = None  # of the search that was answered in this very turn; decided before it ends


@dataclass(slots=True)
class Hydrate:
    """The second stage: what does its contact know that the lead lacks?"""

    searched: str | None = None  # contact id that a search was asked about
    seen: ContactVersion | None = None  # the contact as it was last seen in this work


@dataclass(slots=True)
class ReadMessages:
    """The third stage: which SMS has the lead not had?"""

    hydrated: Hydrate  # what the stage before has seen
    outcome: MessagesOutcome | None = None  # None: the export goes on
    cursor: str | None = None  # what continues the export
    export_from: int | None = None  # ms, where that export began: its pages ask the same


Stage = Resolve | Hydrate | ReadMessages


@dataclass(slots=True)
class ListingMatch:
    """A listing of a job looks for this lead; what it has found so far."""

    scan: int = 0  # which of the job's scans found it
    match: BestMatch | None = None


@dataclass(slots=True)
class LeadWork:
    """A lead's open work: why, how urgent, and how far it has come."""

    first_cause_at: int  # ms, Kafka timestamp of the first cause
    accepted_at: int  # ms, when this shard took it up
    lane: Lane = Lane.CHANGE
    waiters: Waiters = field(default_factory=Waiters)
    stage: Stage = field(default_factory=Resolve)
    question: Question | None = None
    due: int = 0  # ms, not asked before
    attempts: int = 0
    width: int = width_unlimited  # shares a search with at most so many values
    listing: ListingMatch | None = None  # None: no listing looks for it
    asked: bool = False  # HighLevel was asked, so there is something to publish
    calls: dict[str, int] = field(default_factory=dict)  # by kind
    permit_ms: int = 0
    network_ms: int = 0
    wants_messages: bool = False  # a waiter asked for them
    imported: int = 0  # messages, in this work
    unreported: int = 0  # of these, the ones that no result has counted
    failure: Failure | None = None  # of the response ingested in this very turn; decided before it ends
    unknown: Fields | None = None

    @property
    def hydrate(self) -> Hydrate | None:
        """Return the stage that hydrates the lead; None before a contact is linked."""
        match self.stage:
            case Hydrate():
                return self.stage
            case ReadMessages():
                return self.stage.hydrated
        return None

    def hydrating(self) -> Hydrate:
        """The lead is linked: return the second stage's part, entered if it wasn't."""
        if (part := self.hydrate) is None:
            self.stage = part = Hydrate()
        return part

    def resolving(self) -> Resolve:
        """The lead isn't linked: return the first stage, entered if it wasn't."""
        if not isinstance(self.stage, Resolve):
            self.stage = Resolve()
        return self.stage

    def reading(self) -> ReadMessages:
        """All is known of the contact: return the third stage, entered if it wasn't."""
        if not isinstance(self.stage, ReadMessages):
            self.stage = ReadMessages(self.hydrating())
        return self.stage

    @property
    def messages_read(self) -> bool:
        """True if it is known what became of the messages."""
        return isinstance(self.stage, ReadMessages) and self.stage.outcome is not None

    def start_over(self) -> None:
        """The question changed: forget what was found for the old one."""
        self.attempts = self.due = 0
        self.width = width_unlimited
        self.stage = Resolve()
        self.listing = self.failure = None

    @property
    def reported_messages(self) -> tuple[MessagesOutcome, int]:
        """Return the result's `messages` and `messages_imported`. An export that goes on isn't reported."""
        outcome = self.stage.outcome if isinstance(self.stage, ReadMessages) else None
        if outcome is None:
            return MessagesOutcome.NOT_ASKED, 0
        if outcome is MessagesOutcome.FAILED:
            return outcome, self.unreported
        return MessagesOutcome.IMPORTED if self.unreported else MessagesOutcome.NONE, self.unreported

    @property
    def looked_up(self) -> bool:
        """True if HighLevel had to be asked about the contact."""
        return self.asked or bool(self.question and self.question.kind is not QuestionKind.MESSAGES)

    def detach(self, request: str, lane: Lane) -> None:
        """A job of this lane waits no more: the rest of the work is for others, and as urgent as theirs."""
        if request in self.waiters.jobs:
            self.waiters.jobs.remove(request)
            if self.lane == lane:  # else a more urgent job has it, and keeps what it found
                if self.listing:
                    self.listing.match = None
                self.return_borrowed()

    def return_borrowed(self) -> None:
        """Work that a job borrowed is the change lane's again; what only jobs want is the lowest one's."""
        if self.lane >= Lane.JOB:
            waiters = self.waiters
            urgent = waiters.causes or waiters.requests
            self.lane = Lane.CHANGE if urgent else Lane.BACKFILL if waiters.jobs else Lane.JOB

    def encode(self) -> Fields:
        """Return the stored fields; those that hold their default are left out."""
        fields: Fields = {name: value for name in plain_fields if (value := getattr(self, name))}
        if self.width == width_unlimited:
            del fields["width"]
        waiters, listing = self.waiters, self.listing
        for name in ("causes", "requests", "jobs"):
            if value := getattr(waiters, name):
                fields[name] = value
        if self.question:
            fields["question"] = [self.question.kind, self.question.value]
        if listing:
            fields["listing"] = [listing.scan, listing.match.encode() if listing.match else None]
        if stage := encode_stage(self.stage):
            fields["stage"] = stage
        return fields | self.unknown if self.unknown else fields

    @classmethod
    def decode(cls, fields: Fields) -> "LeadWork":
        unknown = split_unknown(fields, known_fields)
        waiters = Waiters(fields.pop("causes", None) or [], fields.pop("requests", 0), fields.pop("jobs", None) or [])
        question, listing, stage = fields.pop("question", None), fields.pop("listing", None), fields.pop("stage", None)
        fields = {"first_cause_at": 0, "accepted_at": 0, **fields, "lane": lanes[fields.get("lane", 0)]}
        return cls(
            **fields,  # zeros were left out, the lane's too
            waiters=waiters,
            stage=decode_stage(stage) if stage else Resolve(),
            question=Question(QuestionKind(question[0]), question[1]) if question else None,
            listing=ListingMatch(listing[0], BestMatch.decode(listing[1]) if listing[1] else None) if listing else None,
            unknown=unknown,
        )


def encode_stage(stage: Stage) -> Sequence[Any] | None:
    """Return a stage's name and fields; None for a first stage that knows nothing yet."""
    match stage:
        case Resolve():
            return ["resolve", stage.first_look_at] if stage.first_look_at else None
        case Hydrate():
            return ["hydrate", stage.searched, stage.seen]
        case ReadMessages(hydrated, outcome, cursor, export_from):
            return ["messages", hydrated.searched, hydrated.seen, outcome, cursor, export_from]


def decode_stage(stored: Sequence[Any]) -> Stage:
    name, *fields = stored
    if name == "resolve":
        return Resolve(fields[0])
    hydrate = Hydrate(fields[0], ContactVersion(**fields[1]) if fields[1] else None)
    if name == "hydrate":
        return hydrate
    _, _, outcome, cursor, export_from = fields
    return ReadMessages(hydrate, MessagesOutcome(outcome) if outcome else None, cursor, export_from)


lanes: Final = tuple(Lane)
plain_fields: Final = (
    "first_cause_at",
    "accepted_at",
    "lane",
    "due",
    "attempts",
    "width",
    "asked",
    "calls",
    "permit_ms",
    "network_ms",
    "wants_messages",
    "imported",
    "unreported",
)
known_fields: Final = dict.fromkeys((*plain_fields, "causes", "requests", "jobs", "question", "listing", "stage"))
