"""What the generator of the demo's data makes right: values that a judge compares with what Hydrant published.

They follow from the kind that the generator chose for a lead and from DESIGN §3 and §7, never from code under test.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

any_reason: Final = "*"  # the contract says that there is a reason, not which
Payload = Mapping[str, Any]  # JSON: a contact as HighLevel's GET shows it, or the data of an event


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A record of an input topic."""

    topic: str  # without prefix
    location: str  # its key
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    astray: bool = False  # it arrives on a partition that isn't its home


@dataclass(frozen=True, slots=True, repr=False)
class Sms:
    """Something that was said to or by a contact."""

    contact: str
    shown: Payload  # in export's shape
    message: Payload | None  # as `lead.message.imported` tells it; None: it is no SMS


@dataclass(frozen=True, slots=True, repr=False)
class Should:
    """What a result must say of its lead."""

    outcome: str
    contact_id: str | None = None
    changes: Mapping[str, str | None] = field(default_factory=dict)
    replaces: str | None = None  # the dead contact id
    reason: str | None = None
    resolved_by: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """One lead: what is published about it, what HighLevel knows, and what must come of it."""

    location: str
    lead: str
    kind: str
    data: Payload  # of its last event
    messages: tuple[Message, ...] = ()  # in this order
    contacts: tuple[Payload, ...] = ()
    late: tuple[Payload, ...] = ()  # added when the lead is told of: search knows them only after the index's lag
    answers: Mapping[int, Should] = field(default_factory=dict)  # revision seen → what its result says; none: no result
    events: frozenset[str] = frozenset()  # ids of its messages
    synced: Should | None = None  # what a Sync of it is told
    again: Should | None = None  # what is found after that answer, by a result that names nothing
    scanned: tuple[Should, ...] = ()  # what a job may make of it by a scan; `unchanged`: no result
    probed: tuple[Should, ...] = ()  # and by searches, should it choose them
    looked_up: bool = False  # a job can't do without asking HighLevel about it
    sms: tuple[Sms, ...] = ()  # of all its contacts, also of one that is gone

    def due_of(self, contact: str | None) -> dict[str, Payload]:
        """What `lead.messages` must tell once the lead was synced and this is its contact, by message id."""
        ids = {"location_id": self.location, "lead_id": self.lead, "contact_id": contact}
        messages = (one.message for one in self.sms if one.message is not None and one.contact == contact)
        return {message["id"]: {**ids, "message": message} for message in messages}

    @property
    def causes(self) -> frozenset[str]:
        """Ids of the events that a result must name, each exactly one; of the others at most one may."""
        return self.events if self.answers else frozenset()

    @property
    def last(self) -> Should | None:
        """What its last result says, when nobody asks for a Sync."""
        return self.answers[max(self.answers)] if self.answers else None

    @property
    def surely_due_in_job(self) -> set[str]:
        """Ids of the messages that a job imports, whichever way it finds the contact."""
        contacts = {should.contact_id for should in (*self.scanned, *self.probed)}
        return set(self.due_of(contacts.pop())) if len(contacts) == 1 else set()

    @property
    def speaks_in_job(self) -> bool:
        """Whether a job publishes a result of it; an unchanged lead only counts."""
        return any(should.outcome != "unchanged" for should in self.scanned)


@dataclass(frozen=True, slots=True, repr=False)
class Sync:
    """A person's question about one lead, and the one answer to it."""

    location: str
    lead: str
    kind: str
    request_id: str
    revision: int | None  # the newest one that the answer has seen
    should: Should
    message: Message
    repeat: Message | None = None  # the same request once more: it is not run again
    waits: bool = False  # an unknown lead is waited for, so its answer says nothing about speed
    messages: bool = True  # they are asked for, too
    last: bool = False  # pressed when all else is published: its lead has been synced before


@dataclass(frozen=True, slots=True, repr=False)
class Malformed:
    """What no retry cures, and the reason that it is buried for."""

    reason: str
    message: Message

    @property
    def digest(self) -> str:
        return sha256(self.message.value).hexdigest()
