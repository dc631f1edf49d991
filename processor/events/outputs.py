"""The `data` of the events that Hydrant publishes (DESIGN §3). Readers ignore unknown fields: new ones may come."""

from typing import Annotated

from pydantic import Field, StrictBool, WithJsonSchema

from processor.events.fields import EVENT_ID_MAX, HYDRATABLE, TEXT_MAX, Body, Count, Id, Model, Text, Time, known

OutcomeName = Annotated[str, known("updated", "unchanged", "created", "not_found", "ambiguous", "failed")]
Reason = Annotated[
    str,
    known(
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
Lanes = Annotated[dict[str, Count], known({"interactive": 1, "change": 250, "job": 0, "backfill": 0})]
Filled = Annotated[dict[str, Count], known({"contact_id": 90, "phone": 72})]
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
    """The request's id, where the event is a request."""


class Timings(Model):
    """Milliseconds."""

    queued: Count
    """From the first cause's Kafka timestamp until it was taken up."""
    permit: Count
    """Waiting for the location's rate budget."""
    network: Count
    total: Count


class LeadSynced(Model):
    """The result for a lead: fields that were unknown and are now known."""

    location_id: Id
    lead_id: Id
    revision: Count | None
    """The newest one this result has seen; null for an unknown lead."""
    sequence: Count
    """Grows with every result of the lead, also across its deletion. Keep the last one; ignore older or equal ones."""
    outcome: OutcomeName
    """Speaks of the contact alone, not of messages."""
    lead_updated: StrictBool
    """`changes` is not empty, even where no message was imported."""
    contact_id: Id | None
    """The linked contact."""
    changes: Facts
    """Each to be applied where it is still unknown; a known field is never overwritten."""
    replaces: Replaces | None
    """A dead link goes: reason `contact_gone`; `changes.contact_id` is its successor, or null when none was found."""
    resolved_by: Annotated[str, known("lead", "webhook", "search", "scan", "phone", "create")] | None
    hydrated_from: Annotated[str, known("webhook", "search", "scan", "contact")] | None
    messages: Annotated[str, known("imported", "none", "not_asked", "failed")]
    """`failed`: they could not all be had, though some may have been imported; the next Sync goes on from there."""
    messages_imported: Count
    calls: Annotated[dict[str, Count], known({"search": 1}, {"contact": 1, "search": 2})]
    """By kind (search, contact, duplicate, create, update, messages); a shared call is counted where first needed."""
    causes: list[Cause]
    """The events it answers: every request (beyond 500: in further results), and the latest 32 others."""
    reason: Reason | None
    """The reason for `failed`, `ambiguous` or `not_found`."""
    timings_ms: Timings


class Message(Model):
    """A message, in one shape for all sources. Null: not known."""

    id: Id
    direction: Annotated[str, known("inbound", "outbound")] | None
    type: Annotated[str, known("TYPE_SMS", "TYPE_CAMPAIGN_SMS", "TYPE_CUSTOM_SMS")] | None
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


class LeadMessageImported(Model):
    """An SMS of a lead's contact; once per lead and HighLevel message id."""

    location_id: Id
    lead_id: Id
    contact_id: Id
    message: Message


class SyncAnswered(Model):
    """A Sync's answer for the screen of the person who asked for it: as `lead.synced`, without personal data."""

    request_id: Id
    location_id: Id
    lead_id: Id
    sequence: Count
    """The sequence of the `lead.synced` that answers the request."""
    outcome: OutcomeName
    lead_updated: StrictBool
    filled: list[Annotated[str, known("contact_id", *HYDRATABLE)]]
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
    plan: Annotated[str, known("scan", "probe")] | None = None
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
    """Calls that one search per lead would have cost so far beyond that."""
    started_at: Time | None = None
    eta: Time | None = None
    paused_until: Time | None = None
    reason: Reason | None = None
    """The reason why it paused or failed; `dry_run` if it was only planned."""


class LocationStatus(Model):
    """The state of a location at HighLevel."""

    location_id: Id
    state: Annotated[str, known("ok", "throttled", "unauthorized", "daily_budget", "unavailable")]
    since: Time
    until: Time | None
    """When it will be tried again, at the latest."""
    reason: Annotated[str, known("expired", "scope", "revoked", "location", "missing", "version", "unknown")] | None
    """The problem with the token, while `unauthorized`: `location` means that it is another location's, `missing` that
    there is none."""
    queued: Lanes
    """Leads with pending work, by lane."""
    oldest_pending_s: Count
    sent_10s: Count
    """Calls in the last 10 s."""
    sent_today: Count
    """Calls in the last 24 h, or since the day was reset as HighLevel reported."""
    left_today: Count
    """By our own limit, or fewer as HighLevel reports."""
    worker: str
    """The worker that owns the location."""
