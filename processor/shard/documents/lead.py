"""A lead's document: the snapshot that upstream gave, the facts filled from HighLevel, and the lead's open work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from processor.events.fields import HYDRATABLE
from processor.highlevel.contact import Contact, digits, e164, normal_email
from processor.highlevel.requests import Question, QuestionKind
from processor.ratelimit.budget import Lane
from processor.ratelimit.headers import day_ms
from processor.shard.documents.checkpoint import Checkpoint
from processor.shard.documents.document import Document, Fields, read_fields, split_unknown, write_fields
from processor.shard.documents.format1 import upgrade_lead
from processor.shard.documents.work import ContactVersion, LeadWork
from processor.shard.indexes import Pending, Projection, Queue, nothing

forgotten_after_ms: Final = 7 * day_ms  # DESIGN §3: a deleted lead's revision is kept 7 days
facts: Final = ("contact_id", *HYDRATABLE)
leads_per_value: Final = 4  # that a job's page looks for by the same value; more are asked about one by one
checkpoints_kept: Final = 4


@dataclass(slots=True)
class NegativeCache:
    """HighLevel knew no more than this: changes that touch nothing of it don't ask again before `until`."""

    until: int  # ms
    wait: int  # ms, doubles each time
    gaps: list[str]


@dataclass(slots=True)
class GoneContact:
    """A linked contact that HighLevel says is gone."""

    contact_id: str
    until: int  # ms, not linked again before


@dataclass(slots=True)
class Lead(Document):
    kind: ClassVar[str] = "lead"

    location: str
    id: str
    revision: int | None = None  # None: asked about, but never seen
    sequence: int = 0  # of the last result
    created: int = 0
    deleted: int | None = None  # ms, when the deletion was ingested
    snapshot: dict[str, str] = field(default_factory=dict)  # known fields only
    filled: dict[str, str] = field(default_factory=dict)  # facts that the snapshot lacks
    resolved_by: str | None = None
    hydrated_from: str | None = None
    negative_cache: NegativeCache | None = None
    fetched: ContactVersion | None = None  # by the last GET
    gone: GoneContact | None = None
    work: LeadWork | None = None
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)  # by contact, the latest few
    expires: int | None = None  # ms; a document that only remembers
    unknown: Fields | None = None

    @property
    def key(self) -> str:
        return f"lead {self.location} {self.id}"

    @property
    def contact_id(self) -> str | None:
        """The linked contact, unless HighLevel said that it is gone."""
        linked = self.snapshot.get("contact_id")
        return linked if linked and not self.is_gone(linked) else self.filled.get("contact_id")

    def is_gone(self, contact_id: str) -> bool:
        return self.gone is not None and self.gone.contact_id == contact_id

    def known(self, name: str) -> str | None:
        return self.snapshot.get(name) or self.filled.get(name)

    def gaps(self) -> list[str]:
        """Return the hydratable fields that neither upstream nor HighLevel has given."""
        return [name for name in HYDRATABLE if name not in self.snapshot and name not in self.filled]

    @property
    def exists(self) -> bool:
        """True if upstream published it and didn't delete it."""
        return self.revision is not None and self.deleted is None

    @property
    def lacks_nothing(self) -> bool:
        """True if upstream knows all that there is to know; most changes are of such leads."""
        return self.contact_id is not None and not self.filled and not self.gaps()

    def checkpoint(self, contact: str) -> Checkpoint:
        """Return this contact's checkpoint, as the latest; of former ones a few are kept, since a link may come back."""
        self.checkpoints[contact] = self.checkpoints.pop(contact, Checkpoint())
        for former in list(self.checkpoints)[:-checkpoints_kept]:
            del self.checkpoints[former]
        return self.checkpoints[contact]

    def identity(self) -> tuple[str, str]:
        """Return what the lead is looked up by. While it stays the same, filled facts hold."""
        email, phone = self.known("email") or "", self.known("phone") or ""
        return normal_email(email) or email, digits(phone)

    def lookup(self) -> Question | None:
        """Return what to search by: the e-mail when usable, else the phone (DESIGN §7.2)."""
        if email := normal_email(self.snapshot.get("email", "")):
            return Question(QuestionKind.EMAIL, email)
        if phone := e164(self.snapshot.get("phone", "")):
            return Question(QuestionKind.PHONE, phone)
        return None

    def take(self, snapshot: Mapping[str, str], revision: int, created: int, now: int) -> None:
        """Take a newer snapshot. Facts of another identity or contact are dropped."""
        former = self.snapshot
        same = former.get("email") == snapshot.get("email") and former.get("phone") == snapshot.get("phone")
        before, linked = self.identity() if not same else None, self.contact_id
        self.revision, self.snapshot = revision, dict(snapshot)
        self.created = self.created or created
        self.deleted = self.expires = None
        given = snapshot.get("contact_id")
        if self.gone and given != self.gone.contact_id and now >= self.gone.until:
            self.gone = None
        relinked = given is not None and given != linked and not self.is_gone(given)
        if relinked or (not same and self.identity() != before):
            self.drop_facts()
            if self.work:
                self.work.start_over()
        for name in [name for name in self.filled if name in self.snapshot and not self.is_gone(self.snapshot[name])]:
            del self.filled[name]

    def fill(self, work: LeadWork, contact: Contact) -> None:
        """Take from a payload of the lead's contact what the lead lacks. A known field is never overwritten."""
        filled = {name: contact.fields[name] for name in self.gaps() if name in contact.fields}
        self.filled |= filled
        if filled:
            self.hydrated_from = contact.origin
        work.hydrating().seen = seen = ContactVersion(contact.id, contact.updated, contact.origin)
        if contact.origin == "contact":
            self.fetched = seen

    def drop_facts(self) -> None:
        """Drop all that was filled from a contact, and what was remembered of its search."""
        self.filled, self.negative_cache, self.fetched = {}, None, None
        self.resolved_by = self.hydrated_from = None

    def delete(self, revision: int, now: int) -> None:
        """Take a deletion: revision and sequence are kept for a while, and work that must be answered until it is."""
        self.revision, self.deleted, self.expires = revision, now, now + forgotten_after_ms
        self.snapshot, self.filled = {}, {}
        if self.work is None:
            self.forget()

    def forget(self) -> None:
        """Forget all but revision, sequence and deletion."""
        self.drop_facts()
        self.created, self.gone, self.work, self.checkpoints = 0, None, None, {}

    def open_work(self, since: int, now: int) -> LeadWork:
        """Return the open work, begun if there is none. `since` is the Kafka timestamp of its cause, ms."""
        if self.work is None:
            self.work = LeadWork(since, now)
        self.work.first_cause_at = min(self.work.first_cause_at, since)
        self.expires = None
        return self.work

    def add_cause(self, event_id: str, kind: str, since: int, now: int) -> None:
        """An event wants this lead looked at."""
        work = self.open_work(since, now)
        work.lane = min(work.lane, Lane.CHANGE)  # a job may get to it late
        work.waiters.add_cause(event_id, kind)

    def projection(self) -> Projection:
        work = self.work
        if work is None:
            return Projection(at=self.expires) if self.expires else nothing
        if not self.exists:
            return Projection(at=work.due)  # it waits for the lead itself to come
        if work.question is None:
            return nothing
        lane, (kind, value) = work.lane, work.question
        waiting = lane >= Lane.JOB and (work.listing is not None or kind is QuestionKind.CONTACT)
        best = work.listing.match.contact if waiting and work.listing and work.listing.match else None
        at, queue = max(work.due, work.accepted_at), int(Queue.of(lane, kind))
        return Projection(pending=Pending(queue, at, kind.value, value, work.width, waiting, best.id if best else None))

    def encode(self) -> bytes | None:
        """Return the stored bytes. Defaults are left out: most documents hold a snapshot and little else."""
        if self.revision is None and self.work is None and self.expires is None:
            return None
        fields: Fields = {name: value for name in plain_lead_fields if (value := getattr(self, name))}
        fields["revision"] = self.revision
        if self.work:
            fields["work"] = self.work.encode()
        return write_fields(fields, self.unknown)

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        location, lead = ids
        if stored is None:
            return cls(location, lead)
        fields = read_fields(stored, upgrade_lead)
        unknown = None if fields.keys() <= known_lead_fields.keys() else split_unknown(fields, known_lead_fields)
        for name, read in nested_fields.items():
            if name in fields:
                fields[name] = read(fields[name])
        return cls(location, lead, **fields, unknown=unknown)


plain_lead_fields: Final = (
    "sequence",
    "created",
    "deleted",
    "snapshot",
    "filled",
    "resolved_by",
    "hydrated_from",
    "negative_cache",
    "fetched",
    "gone",
    "checkpoints",
    "expires",
)
nested_fields: Final[Mapping[str, Callable[[Any], object]]] = {  # JSON is untyped
    "work": LeadWork.decode,
    "negative_cache": lambda stored: NegativeCache(**stored),
    "fetched": lambda stored: ContactVersion(**stored),
    "gone": lambda stored: GoneContact(**stored),
    "checkpoints": lambda stored: {contact: Checkpoint(**known) for contact, known in stored.items()},
}
known_lead_fields: Final = dict.fromkeys((*plain_lead_fields, "revision", "work"))
