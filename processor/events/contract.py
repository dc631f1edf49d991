"""The `data` of every event (DESIGN §3), for Hydrant, its publishers and its readers.

`EVENTS[type].model_validate(data)` raises pydantic's ValidationError: its text names fields and reasons, never values.
Times are RFC 3339 UTC on the wire and integer ms since 1970 here. Unknown fields are ignored: new ones may come.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, WithJsonSchema, model_validator

from processor.events.fields import TEXT_MAX, Body, Count, Id, Seconds, Text, Time, open_enum
from processor.topics import TOPICS

HYDRATABLE: Final = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "company_name",
    "website",
    "address",
    "city",
    "state",
    "postal_code",
    "country",
    "timezone",
)  # the fields of a lead that Hydrant fills
SNAPSHOT: Final = ("contact_id", *HYDRATABLE, "source", "sentiment")  # the fields that a lead.changed has of its lead
EVENT_ID_MAX: Final = 256  # characters of an event's own id, which results name among their causes


class Model(BaseModel):
    """A frozen value."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)


class InputData(Model):
    """The data of an event that upstream publishes. Absent, null and "" all mean "unknown"."""

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
        values = self.__dict__
        return {name: value for name in SNAPSHOT if (value := values[name]) is not None}


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
    """The payload as the webhook sent it."""


class ContactDeleted(Webhook):
    """`ContactDelete`, as the gateway publishes it."""


class MessageAdded(Webhook):
    """`InboundMessage` or `OutboundMessage`, as the gateway publishes it."""

    message: dict[str, Any]  # HighLevel promises no field of it
    """The payload as the webhook sent it."""


Outcome = Annotated[str, open_enum("updated", "unchanged", "created", "not_found", "ambiguous", "failed")]
Reason = Annotated[
    str,
    open_enum(
        "unauthorized",
        "throttled",
        "daily_budget",
        "unavailable",
        "creating",
        "deadline",
        "unknown_lead",
        "lead_deleted",
        "invalid",
        "internal_error",
        "refused",
        "no_identity",
        "no_contact",
        "different_phones",
        "may_lag",
        "contact_gone",
        "dry_run",
    ),
]
Lanes = Annotated[dict[str, Count], open_enum({"interactive": 1, "change": 250, "job": 0, "backfill": 0})]
Filled = Annotated[dict[str, Count], open_enum({"contact_id": 90, "phone": 72})]
Facts = Annotated[
    dict[str, Text | None],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                name: {"type": ["string", "null"], "maxLength": TEXT_MAX} for name in ("contact_id", *HYDRATABLE)
            },
            "additionalProperties": {"type": ["string", "null"], "maxLength": TEXT_MAX},
            "examples": [{"contact_id": "contact-1", "phone": "+15550100001"}],
        }
    ),
]


class Replaces(Model):
    contact_id: Id
    """The dead link. `changes.contact_id` takes its place only where the stored id is still this one."""


class Cause(Model):
    id: Annotated[str, Field(min_length=1, max_length=EVENT_ID_MAX)]
    """The event's CloudEvents id."""
    type: str
    request_id: Id | None = None
    """The request id, if the event is a request."""


class Timings(Model):
    """Milliseconds."""

    queued: Count
    """From the first cause's Kafka timestamp until it was taken up."""
    permit: Count
    """Waiting for the location's rate budget."""
    network: Count
    total: Count


class LeadSynced(Model):
    """The result: what was unknown of a lead and is now known."""

    location_id: Id
    lead_id: Id
    revision: Count | None
    """The newest one this result has seen; null for an unknown lead."""
    sequence: Count
    """Grows with every result of the lead, also across its deletion. Keep the last one; ignore older or equal ones."""
    outcome: Outcome
    """Speaks of the contact alone, not of messages."""
    lead_updated: StrictBool
    """`changes` is not empty, even where no message was imported."""
    contact_id: Id | None
    """The linked contact."""
    changes: Facts
    """Each to be applied where it is still unknown; a known field is never overwritten."""
    replaces: Replaces | None
    """A dead link goes: reason `contact_gone`; `changes.contact_id` is its successor, or null when none was found."""
    resolved_by: Annotated[str, open_enum("lead", "webhook", "search", "scan", "phone", "create")] | None
    hydrated_from: Annotated[str, open_enum("webhook", "search", "scan", "contact")] | None
    messages: Annotated[str, open_enum("imported", "none", "not_asked", "failed")]
    """`failed`: they could not all be had, though some may have been imported; the next Sync goes on from there."""
    messages_imported: Count
    calls: Annotated[dict[str, Count], open_enum({"search": 1}, {"contact": 1, "search": 2})]
    """Calls by kind (search, contact, duplicate, create, update, messages); a shared call is counted where first needed."""
    causes: list[Cause]
    """The events it answers: every request (beyond 500: in further results), and the latest 32 others."""
    reason: Reason | None
    """Why `failed`, `ambiguous` or `not_found`."""
    timings_ms: Timings


class LeadMessageImported(Model):
    """An SMS of a lead's contact; once per lead and HighLevel message id."""

    class Message(Model):
        """One shape, whatever brought it; null: not known."""

        id: Id
        direction: Annotated[str, open_enum("inbound", "outbound")] | None
        type: Annotated[str, open_enum("TYPE_SMS", "TYPE_CAMPAIGN_SMS", "TYPE_CUSTOM_SMS")] | None
        """In HighLevel's TYPE_ spelling."""
        body: Body | None
        """At most 64 KiB as UTF-8; a longer one is cut."""
        status: str | None
        """When it was imported; later changes are not published."""
        sent_at: Time | None
        conversation_id: str | None
        attachments: list[str] | None
        """URLs."""
        source: str | None
        user_id: str | None

    location_id: Id
    lead_id: Id
    contact_id: Id
    message: Message


class SyncAnswered(Model):
    """A Sync's answer for the screen of the person who pressed it: as `lead.synced`, without personal data."""

    request_id: Id
    location_id: Id
    lead_id: Id
    sequence: Count
    """The sequence of the `lead.synced` that answers the request."""
    outcome: Outcome
    lead_updated: StrictBool
    filled: list[Annotated[str, open_enum("contact_id", *HYDRATABLE)]]
    """Names of the fields, `contact_id` among them."""
    messages_imported: Count
    reason: Reason | None


class SyncProgress(Model):
    """The progress of a job or backfill. Null or absent: not known (yet)."""

    request_id: Id
    location_id: Id | None = None
    """Null for a backfill, whose partitions each report their own progress."""
    partition: Count | None = None
    partitions: Count | None = None
    """A backfill is done when as many have completed."""
    plan: Annotated[str, open_enum("scan", "probe")] | None = None
    leads_total: Count | None = None
    """Fixed when the job has opened its leads; a lead deleted meanwhile leaves it."""
    leads_done: Count | None = None
    updated: Count | None = None
    unchanged: Count | None = None
    created: Count | None = None
    not_found: Count | None = None
    ambiguous: Count | None = None
    failed: Count | None = None
    filled: Filled | None = None
    """Leads by field."""
    messages_imported: Count | None = None
    calls_planned: Count | None = None
    calls_spent: Count | None = None
    calls_saved: Count | None = None
    """Calls that one search per lead would have cost so far beyond those spent."""
    started_at: Time | None = None
    eta: Time | None = None
    paused_until: Time | None = None
    reason: Reason | None = None
    """Why it paused or failed; `dry_run` if it was only planned."""


class LocationStatus(Model):
    """The status of a location with HighLevel."""

    location_id: Id
    state: Annotated[str, open_enum("ok", "throttled", "unauthorized", "daily_budget", "unavailable")]
    since: Time
    until: Time | None
    """When it will be tried again, at the latest."""
    reason: Annotated[str, open_enum("expired", "scope", "revoked", "location", "missing", "version", "unknown")] | None
    """The token's problem, while `unauthorized`: `location` means that it is another location's, `missing` that there
    is none."""
    queued: Lanes
    """Leads with pending work, by lane."""
    oldest_pending_s: Count
    sent_10s: Count
    """Calls in the last 10 s."""
    sent_today: Count
    """Calls in the last 24 h, or since the reset of the day that HighLevel reported."""
    left_today: Count
    """Calls left by our own limit, or fewer if HighLevel reports fewer."""
    worker: str
    """The worker that owns the location."""


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
