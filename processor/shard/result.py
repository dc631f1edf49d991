"""The result of a lead, `lead.synced`, and the same answer for the screen of whoever asked, `sync.answered` (DESIGN
§3)."""

from collections.abc import Sequence

from processor.events.cloudevents import encode
from processor.ratelimit.budget import Lane
from processor.shard.job import Job
from processor.shard.lead import Lead, facts, forgotten_after_ms
from processor.shard.notes import Note
from processor.shard.request import Request
from processor.shard.state import Changes, Out


def publish(
    changes: Changes,
    lead: Lead,
    outcome: str | None,
    reason: str | None,
    now: int,
    requests: Sequence[Request] = (),
    causes: Sequence[Sequence[str]] = (),
    jobs: Sequence[Job] = (),
) -> None:
    """One result for these requests, jobs and other causes. `outcome` None: `updated` or `unchanged`, by what was learned."""
    outcome, learned, replaces, reason = said(lead, outcome, reason)
    work = lead.open
    since = min(
        [request.since for request in requests] + ([work.since] if work and (causes or jobs) else []), default=now
    )
    lead.sequence = max(lead.sequence + 1, now)
    linked = lead.contact_id
    timings = {
        "queued": max(0, work.heard - work.since) if work else 0,
        "permit": work.permit_ms if work else 0,
        "network": work.network_ms if work else 0,
        "total": max(0, now - since),
    }
    messages, imported = work.said_of_messages if work else ("not_asked", 0)
    data: dict[str, object] = {
        "location_id": lead.location,
        "lead_id": lead.id,
        "revision": lead.revision,
        "sequence": lead.sequence,
        "outcome": outcome,
        "lead_updated": bool(learned),
        "contact_id": linked,
        "changes": learned,
        "replaces": replaces,
        "resolved_by": (lead.resolved_by if "contact_id" in lead.learned else "lead") if linked else None,
        "hydrated_from": lead.hydrated_from,
        "messages": messages,
        "messages_imported": imported,
        "calls": dict(work.calls) if work else {},
        "causes": [{"id": one.cause, "type": "sync.lead.requested", "request_id": one.id} for one in requests]
        + [{"id": one.cause, "type": one.kind, "request_id": one.id} for one in jobs]
        + [{"id": event_id, "type": kind} for event_id, kind in causes],
        "reason": reason,
        "timings_ms": timings,
    }
    emit(changes, "lead.updates", "lead.synced", lead.location, lead.id, f"{lead.id}:{lead.sequence}", data, now)
    if work:
        work.calls, work.untold = {}, work.untold - imported  # told once
    for request in requests:
        answered = {
            "request_id": request.id,
            "location_id": lead.location,
            "lead_id": lead.id,
            "sequence": lead.sequence,
            "outcome": outcome,
            "lead_updated": bool(learned),
            "filled": [name for name in learned if learned[name] is not None],
            "messages_imported": imported,
            "reason": reason,
        }
        unique = f"{lead.id}:{lead.sequence}:{request.id}"
        emit(changes, "sync.progress", "sync.answered", lead.location, request.id, unique, answered, now)
        request.answered = now
        changes.refresh(request)
    if lead.revision is None:
        lead.expires = now + forgotten_after_ms  # the sequence must not be forgotten
    noted = {
        "location": lead.location,
        "lead": lead.id,
        "outcome": outcome,
        "lane": Lane(work.lane if work else Lane.INTERACTIVE).label,
        "resolved_by": data["resolved_by"],
        "reason": reason,
        "cause_count": len(requests) + len(jobs) + len(causes),
    }
    changes.notes.append(Note("result", noted | {f"{name}_ms": ms for name, ms in timings.items()}))


def said(
    lead: Lead, outcome: str | None, reason: str | None
) -> tuple[str, dict[str, str | None], dict[str, str] | None, str | None]:
    """Outcome, changes, what they replace and the reason, as the contract words them."""
    learned: dict[str, str | None] = {name: lead.learned[name] for name in facts if name in lead.learned}
    replaces = None
    if outcome == "failed":
        learned = {}
    elif (
        lead.dead
        and lead.snapshot.get("contact_id") == lead.dead.contact_id
        and reason != "may_lag"
        and outcome != "ambiguous"
    ):
        replaces, reason = {"contact_id": lead.dead.contact_id}, "contact_gone"
        learned = {"contact_id": lead.contact_id} | learned
    return outcome or ("updated" if learned else "unchanged"), learned, replaces, reason


def emit(
    changes: Changes,
    topic: str,
    kind: str,
    location: str,
    subject: str,
    unique: str,
    data: dict[str, object],
    now: int,
    source: object = None,
) -> None:
    """Publish an event of ours about a location; or of another source than that, keyed alike."""
    source = f"hydrant/{location if source is None else source}"
    value = encode(kind, data, id=unique, source=source, subject=subject, location=location, time_ms=now)
    changes.records.append(Out(topic, location.encode(), value))
