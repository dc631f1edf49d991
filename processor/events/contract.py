"""The `data` of every event (DESIGN §3): the models of the inputs, and the registry of all types.

`EVENTS[type].model_validate(data)` raises pydantic's ValidationError: its text names fields and reasons, never values.
Times are RFC 3339 UTC on the wire and integer ms since 1970 here. Unknown fields are ignored: new ones may come.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import StrictBool, model_validator

from processor.events.fields import HYDRATABLE, Count, Id, Model, Seconds, Text, Time
from processor.events.outputs import LeadMessageImported, LeadSynced, LocationStatus, SyncAnswered, SyncProgress
from processor.topics import TOPICS

SNAPSHOT: Final = (
    "contact_id",
    *HYDRATABLE,
    "source",
    "sentiment",
)  # the fields of a lead.changed that describe its lead


class InputData(Model):
    """Data that upstream publishes. Absent, null and "" all mean "unknown"."""

    @model_validator(mode="before")
    @classmethod
    def drop_unknown(cls, data: object) -> object:
        if isinstance(data, dict):
            values = data.values()
            if None in values or "" in values:
                return {name: value for name, value in data.items() if value is not None and value != ""}
        return data


class LeadChanged(InputData):
    """A lead as it now is: a snapshot, no patch. Absent, null and "" all mean "unknown"."""

    location_id: Id
    """The HighLevel location (sub-account): it alone decides where the event lives."""
    lead_id: Id
    revision: Count
    """Grows with every change of the lead; an older or equal one is ignored."""
    contact_id: Id | None = None
    """The HighLevel contact, once upstream knows it."""
    email: Text | None = None
    phone: Text | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    company_name: Text | None = None
    website: Text | None = None
    address: Text | None = None
    city: Text | None = None
    state: Text | None = None
    postal_code: Text | None = None
    country: Text | None = None
    timezone: Text | None = None
    source: Text | None = None
    """A business fact that rules may look at: where the lead came from, such as "emailbison"."""
    sentiment: Text | None = None
    """A business fact that rules may look at, such as "positive"."""
    created_at: Time | None = None
    """When the lead came to be; absent: the time of its first event."""
    loading: StrictBool = False
    """An initial load: recorded only. No call, result or rule until a later change, webhook, Sync, job or backfill."""

    @property
    def created_at_ms(self) -> int | None:
        return self.created_at

    def snapshot(self) -> dict[str, str]:
        """Return the known fields that describe the lead, by their names in SNAPSHOT."""
        fields = self.__dict__
        return {name: value for name in SNAPSHOT if (value := fields[name]) is not None}


class LeadDeleted(InputData):
    """Forgets the lead and its work."""

    location_id: Id
    lead_id: Id
    revision: Count
    """Newer than the lead's; kept 7 days, so that older events don't bring the lead back."""


class SyncLeadRequested(InputData):
    """A Sync of one lead, answered by exactly one `lead.synced` that names the request, and one `sync.answered`."""

    request_id: Id
    """Known by location, lead and request id; a repeated one (24 h) is not run again."""
    location_id: Id
    lead_id: Id
    lead: LeadChanged | None = None
    """The lead as it now is, applied first; of the same `location_id` and `lead_id`."""
    include_messages: StrictBool = True
    deadline_s: Seconds = 120
    """Counted from the record's Kafka timestamp. Not done by then: `failed`, with the reason that held it."""
    lane: Literal["interactive", "change"] = "interactive"
    """`interactive`: a person waits. `change`: as urgent as a change of the lead."""

    @model_validator(mode="after")
    def same_lead(self) -> Self:
        lead = self.lead
        if lead and (lead.location_id != self.location_id or lead.lead_id != self.lead_id):
            raise ValueError("lead: another lead than the request's")
        return self


class SyncLocationRequested(InputData):
    """A Sync All: a durable job over every lead of the location. The same request id is the same job."""

    request_id: Id
    location_id: Id
    include_messages: StrictBool = True
    dry_run: StrictBool = False
    """Only plan it: `sync.started` reports plan, calls and time, then `sync.cancelled`. Costs a call at most."""


class SyncBackfillRequested(InputData):
    """A backfill of all locations: search and link only. Published once, keyed by its request id."""

    request_id: Id
    include_messages: StrictBool = False
    dry_run: StrictBool = False
    """Only plan it. Costs a call a location at most."""


class SyncCancelRequested(InputData):
    """Cancels a job or backfill; an unknown or finished one is ignored."""

    request_id: Id
    """The request id of the job or backfill to cancel."""
    location_id: Id | None = None
    """The job's location; absent: it is a backfill."""


class Webhook(InputData):
    """The data that every webhook of HighLevel has."""

    location_id: Id
    contact_id: Id
    webhook_id: Id
    """Repeats change nothing."""
    occurred_at: Time


class ContactChanged(Webhook):
    """`ContactCreate` or `ContactUpdate`, as the gateway publishes it."""

    contact: dict[str, Any]  # HighLevel promises no field of it
    """The contact as the webhook sent it."""


class ContactDeleted(Webhook):
    """`ContactDelete`, as the gateway publishes it."""


class MessageAdded(Webhook):
    """`InboundMessage` or `OutboundMessage`, as the gateway publishes it."""

    message: dict[str, Any]  # HighLevel promises no field of it
    """The message as the webhook sent it."""


EVENTS: Final[Mapping[str, type[Model]]] = {
    "lead.changed": LeadChanged,
    "lead.deleted": LeadDeleted,
    "sync.lead.requested": SyncLeadRequested,
    "sync.location.requested": SyncLocationRequested,
    "sync.backfill.requested": SyncBackfillRequested,
    "sync.cancel.requested": SyncCancelRequested,
    "contact.changed": ContactChanged,
    "contact.deleted": ContactDeleted,
    "message.added": MessageAdded,
    "lead.synced": LeadSynced,
    "lead.message.imported": LeadMessageImported,
    "sync.answered": SyncAnswered,
    "sync.started": SyncProgress,
    "sync.progressed": SyncProgress,
    "sync.paused": SyncProgress,
    "sync.completed": SyncProgress,
    "sync.failed": SyncProgress,
    "sync.cancelled": SyncProgress,
    "location.status": LocationStatus,
}

Served = (
    LeadChanged | LeadDeleted | SyncLeadRequested | SyncLocationRequested | SyncBackfillRequested | SyncCancelRequested
)
SERVED: Final[Mapping[str, type[Served]]] = {
    "lead.changed": LeadChanged,
    "lead.deleted": LeadDeleted,
    "sync.lead.requested": SyncLeadRequested,
    "sync.location.requested": SyncLocationRequested,
    "sync.backfill.requested": SyncBackfillRequested,
    "sync.cancel.requested": SyncCancelRequested,
}  # the inputs that this version acts on

INPUTS: Final = frozenset(kind for topic in TOPICS.values() if topic.role == "input" for kind in topic.events)
