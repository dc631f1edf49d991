"""Kinds of leads with unusual Syncs or records: unknown, too late, malformed, misrouted or failing."""

from dataclasses import replace
from typing import Final

import orjson

from .found_kinds import lacks_contact, maybe_sync
from .ground_truth import unknown_lead
from .kind import lead_kind, rare_kind
from .lead import WorkloadLead
from .publication import Publication, envelope_of

broken: Final = (
    ("not_json", "lead.changes", b"lead NUMBER"),
    ("not_json", "sync.requests", b'{"id": NUMBER, "id": 1}'),
    ("not_cloudevent", "lead.changes", b'["NUMBER"]'),
    ("not_cloudevent", "lead.changes", b'{"id": "x-NUMBER", "source": "upstream", "type": "lead.changed", "data": {}}'),
    (
        "unknown_type",
        "lead.changes",
        b'{"specversion": "1.0", "id": "x-NUMBER", "source": "u", "type": "lead.lost", "data": {}}',
    ),
    (
        "invalid_field",
        "lead.changes",
        b'{"specversion": "1.0", "id": "x-NUMBER", "source": "u", "type": "lead.changed",'
        b' "data": {"location_id": "HERE", "lead_id": "lead-NUMBER", "revision": "first"}}',
    ),
    (
        "invalid_field",
        "lead.changes",
        b'{"specversion": "1.0", "id": "x-NUMBER", "source": "u", "type": "lead.deleted"}',
    ),
)


@lead_kind()
def synced_unknown(lead: WorkloadLead) -> None:
    """No change of this lead exists. Hydrant knows that once it has read lead.changes up to then, markers and all."""
    lead.sync(f"request-{lead.number}", unknown_lead)
    lead.expect("failed")
    lead.later(0, 12)
    lead.publish_aborted()


@lead_kind("updated")
def synced_before_it_came(lead: WorkloadLead) -> None:
    """Its Sync comes up to 4 s before its first change; Hydrant waits 10 s for that."""
    contact = lead.contact()
    lead.truth.excused = frozenset({unknown_lead})
    lead.expect("updated")
    lead.sync(f"request-{lead.number}")
    lead.later(0, 4_000)
    lead.change(1, {"email": contact.fields["email"]}, contact)


@lead_kind("updated")
def synced_with_snapshot(lead: WorkloadLead) -> None:
    contact = lead.contact()
    lead.set_truth(2, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")
    lead.sync(f"request-{lead.number}", lead=lead.snapshot(2))


@lead_kind("updated")
def synced_too_late(lead: WorkloadLead) -> None:
    """The deadline of its Sync is past on arrival: it is answered at once, and its snapshot counts as a change."""
    lead.one_identity = False
    contact = lead.contact()
    lead.set_truth(2, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")
    lead.sync(f"request-{lead.number}", ("failed", "deadline"), late=True, lead=lead.snapshot(2))


@lead_kind()
def malformed(lead: WorkloadLead) -> None:
    reason, topic, value = lead.random.choice(broken)
    value = value.replace(b"HERE", lead.location.encode()).replace(b"NUMBER", str(lead.number).encode())
    lead.publications.append(Publication(lead.at, topic, lead.location, value, dead_letter=reason))


@lead_kind()
def malformed_request(lead: WorkloadLead) -> None:
    """Its Sync is dead-lettered, and answered all the same."""
    request = f"request-{lead.number}"
    lead.truth.requests[request] = frozenset({("failed", "invalid")})
    lead.expect("failed")
    data = {"location_id": lead.location, "lead_id": lead.id, "request_id": request, "deadline_s": 0}
    value = orjson.dumps({**envelope_of(f"bad-{lead.number}", "sync.lead.requested"), "data": data})
    lead.publications.append(Publication(lead.at, "sync.requests", lead.location, value, dead_letter="invalid_field"))


@lead_kind()
def tombstone(lead: WorkloadLead) -> None:
    """Its value is null, which is skipped."""
    lead.publications.append(Publication(lead.at, "lead.changes", lead.location, None))


@lead_kind("updated")
def already_forwarded(lead: WorkloadLead) -> None:
    """Another shard has forwarded its record to its home: an event like any other."""
    lacks_contact(lead)
    lead.publications[0] = replace(
        lead.publications[0], headers=(*lead.publications[0].headers, ("hydrant-rehomed", b"1"))
    )


@rare_kind
def poisoned(lead: WorkloadLead) -> None:
    """Each search with its e-mail fails. It comes early: later leads that are found show that this is no outage."""
    lead.at = lead.begins // 5
    contact = lead.contact()
    lead.one_identity = False
    lead.poison.add(contact.fields["email"].lower())
    lead.change(1, {"email": contact.fields["email"]}, contact)
    lead.truth.revisions[1].must = {}
    lead.expect("failed")
    maybe_sync(lead, 0.3, ("failed", "unavailable"))
