"""All that leaves: results and answers, dead letters, and events forwarded to their home (DESIGN §2, §3)."""

from collections.abc import Mapping, Sequence
from typing import Final

from processor.events.cloudevents import Event, Malformed, dead_letter, encode, request_ids
from processor.shard.decide import Conclusion, Done, conclude
from processor.shard.documents.job import Job
from processor.shard.documents.lead import Lead, forgotten_after_ms
from processor.shard.documents.sync_request import SyncRequest
from processor.shard.documents.work import CauseEntry, LeadWork, MessagesOutcome
from processor.shard.jobs.counting import waiting_jobs
from processor.shard.store import OutRecord, UnitOfWork
from processor.telemetry.catalogue import EventDeadLettered, EventForwarded, ResultPublished
from processor.topics import home, prefixed

forwarded_header: Final = "hydrant-rehomed"
fanned_out_header: Final = "hydrant-fanned-out"
requests_at_most: Final = 500  # in one result


def publish_outcome(turn: UnitOfWork, lead: Lead, work: LeadWork, conclusion: Conclusion, final: bool) -> None:
    """Publish an outcome to all who wait for it; the first result also names jobs and other causes.

    An outcome that isn't final answers requests and jobs alone: other causes wait on.
    """
    waiters = work.waiters
    published = answer_requests(turn, lead, work, conclusion, with_causes=final)
    if final:
        found = conclusion.found and bool(lead.filled)
        if (found and not published) or (waiters.causes and (work.asked or conclusion.failed)):
            jobs = waiting_jobs(turn, lead) if not published and (found or not conclusion.found) else ()
            publish_result(turn, lead, conclusion, causes=waiters.causes, jobs=jobs)
            published = True
    if waiters.jobs and conclusion.is_news and not published and (jobs := waiting_jobs(turn, lead)):
        publish_result(turn, lead, conclusion, jobs=jobs)


def answer_requests(turn: UnitOfWork, lead: Lead, work: LeadWork, conclusion: Conclusion, with_causes: bool) -> bool:
    """Answer all open requests of the lead. Return True if there was at least one."""
    answered, waiters = False, work.waiters
    while waiters.requests and (
        requests := SyncRequest.open_ones(turn, lead.location, lead.id, limit=requests_at_most)
    ):
        causes = waiters.causes if with_causes else []
        jobs = () if answered else waiting_jobs(turn, lead)
        publish_result(turn, lead, conclusion, requests=requests, causes=causes, jobs=jobs)
        waiters.causes = [] if causes else waiters.causes
        answered = True
    waiters.requests = 0
    return answered


def publish_result(
    turn: UnitOfWork,
    lead: Lead,
    conclusion: Conclusion,
    requests: Sequence[SyncRequest] = (),
    causes: Sequence[CauseEntry] = (),
    jobs: Sequence[Job] = (),
) -> None:
    """Publish one `lead.synced` for these requests, jobs and other causes, and each request's `sync.answered`."""
    work = lead.work
    messages, imported = work.reported_messages if work else (MessagesOutcome.NOT_ASKED, 0)
    lead.sequence = max(lead.sequence + 1, turn.now)
    linked = lead.contact_id
    resolved_by = (lead.resolved_by if "contact_id" in lead.filled else "lead") if linked else None
    waited = timings(turn, work, requests, others=bool(causes or jobs))
    data: dict[str, object] = {
        "location_id": lead.location,
        "lead_id": lead.id,
        "revision": lead.revision,
        "sequence": lead.sequence,
        "outcome": conclusion.outcome.value,
        "lead_updated": bool(conclusion.changes),
        "contact_id": linked,
        "changes": conclusion.changes,
        "replaces": conclusion.replaces,
        "resolved_by": resolved_by,
        "hydrated_from": lead.hydrated_from,
        "messages": messages.value,
        "messages_imported": imported,
        "calls": work.calls if work else {},
        "causes": causes_of(requests, jobs, causes),
        "reason": conclusion.reason,
        "timings_ms": waited,
    }
    publish_event(turn, "lead.updates", "lead.synced", lead.location, lead.id, f"{lead.id}:{lead.sequence}", data)
    for request in requests:
        answer(turn, lead, request, conclusion, imported)
    mark_reported(turn, lead, imported)
    turn.telemetry.append(
        published_event(lead, conclusion, resolved_by, waited, len(requests) + len(jobs) + len(causes))
    )


def mark_reported(turn: UnitOfWork, lead: Lead, imported: int) -> None:
    """Calls and messages are reported once. The sequence of a lead that upstream never published is kept for a while."""
    if lead.work:
        lead.work.calls, lead.work.unreported = {}, lead.work.unreported - imported
    if lead.revision is None:
        lead.expires = turn.now + forgotten_after_ms


def causes_of(
    requests: Sequence[SyncRequest], jobs: Sequence[Job], causes: Sequence[CauseEntry]
) -> Sequence[Mapping[str, str]]:
    """Return a result's `causes`: all that it answers."""
    named = [{"id": event_id, "type": kind} for event_id, kind in causes]
    if requests or jobs:
        answered = [{"id": one.cause, "type": "sync.lead.requested", "request_id": one.id} for one in requests]
        return answered + [{"id": one.cause, "type": one.request_type, "request_id": one.id} for one in jobs] + named
    return named


def timings(
    turn: UnitOfWork, work: LeadWork | None, requests: Sequence[SyncRequest], others: bool
) -> Mapping[str, int]:
    """Return how long its oldest cause waited, in ms: in Kafka, for slots, for HighLevel, in all."""
    since = [request.published_at for request in requests] + ([work.first_cause_at] if work and others else [])
    return {
        "queued": max(0, work.accepted_at - work.first_cause_at) if work else 0,
        "permit": work.permit_ms if work else 0,
        "network": work.network_ms if work else 0,
        "total": max(0, turn.now - min(since, default=turn.now)),
    }


def answer(turn: UnitOfWork, lead: Lead, request: SyncRequest, conclusion: Conclusion, imported: int) -> None:
    """Publish the same answer for the screen of the person who pressed Sync, without personal data."""
    data: dict[str, object] = {
        "request_id": request.id,
        "location_id": lead.location,
        "lead_id": lead.id,
        "sequence": lead.sequence,
        "outcome": conclusion.outcome.value,
        "lead_updated": bool(conclusion.changes),
        "filled": conclusion.filled,
        "messages_imported": imported,
        "reason": conclusion.reason,
    }
    unique = f"{lead.id}:{lead.sequence}:{request.id}"
    publish_event(turn, "sync.progress", "sync.answered", lead.location, request.id, unique, data)
    request.answered = turn.now
    turn.reindex(request)


def published_event(
    lead: Lead, conclusion: Conclusion, resolved_by: str | None, waited: Mapping[str, int], cause_count: int
) -> ResultPublished:
    return ResultPublished(
        lead.location,
        lead.id,
        conclusion.outcome.value,
        lead.work.lane.label if lead.work else "interactive",
        resolved_by,
        conclusion.reason,
        waited["total"],
        waited["queued"],
        waited["permit"],
        waited["network"],
        cause_count,
    )


def publish_refusal(turn: UnitOfWork, malformed: Malformed, done: Done) -> None:
    """Answer a request that was dead-lettered: `failed`, once."""
    ids, record = malformed.request, malformed.record
    if ids is None:
        return
    if ids.lead_id is None:
        data: dict[str, object] = {"request_id": ids.request_id, "location_id": ids.location_id, "reason": done.reason}
        unique = f"{ids.request_id}:{record.topic}:{record.offset}"
        key, source = ids.location_id or ids.request_id, None if ids.location_id else record.partition
        publish_event(turn, "sync.progress", "sync.failed", key, ids.request_id, unique, data, source)
    elif ids.location_id and SyncRequest.find(turn, ids.location_id, ids.lead_id, ids.request_id) is None:
        lead = Lead.of(turn, ids.location_id, ids.lead_id)
        request = SyncRequest(ids.location_id, ids.lead_id, ids.request_id, ids.event_id or "", record.timestamp_ms)
        turn.add(request)
        publish_result(turn, lead, conclude(lead, done), requests=[request])


def publish_event(
    turn: UnitOfWork,
    topic: str,
    kind: str,
    key: str,
    subject: str,
    unique: str,
    data: Mapping[str, object],
    source: object = None,
) -> None:
    """Publish an event of ours, keyed by `key`. Its source is the key too, unless another one is named."""
    source = f"hydrant/{key if source is None else source}"
    value = encode(kind, data, id=unique, source=source, subject=subject, location=key, time_ms=turn.now)
    turn.records.append(OutRecord(topic, key.encode(), value))


def publish_dead_letter(turn: UnitOfWork, malformed: Malformed) -> None:
    """Publish to the dead letters what no retry cures."""
    record = malformed.record
    key, value, headers = dead_letter(malformed, prefixed(turn.setup.prefix, record.topic), turn.now)
    turn.records.append(OutRecord("dead.letters", key or b"", value, tuple(headers)))
    turn.telemetry.append(
        EventDeadLettered(
            reason=malformed.reason,
            detail=malformed.detail,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
    )


def forward_to_home(turn: UnitOfWork, event: Event, location: str) -> Malformed | None:
    """Publish an event to its location's home partition, once. Returns what is to be dead-lettered if it was already."""
    record = event.record
    if any(name == forwarded_header for name, _ in record.headers):
        return Malformed("misrouted", f"{event.type}: strayed a second time", record, request_ids(event))
    there = home(location, turn.setup.partitions)
    headers = (*record.headers, (forwarded_header, b"1"))
    turn.records.append(OutRecord(record.topic, location.encode(), record.value, headers, there, record.timestamp_ms))
    turn.telemetry.append(
        EventForwarded(topic=record.topic, partition=record.partition, offset=record.offset, home=there)
    )
    return None


def fan_out(turn: UnitOfWork, event: Event) -> None:
    """Publish a copy of what has no home to every other partition. It is encoded anew, so that no padding is multiplied."""
    record, setup = event.record, turn.setup
    if any(name == fanned_out_header for name, _ in record.headers):
        return
    data = event.data.model_dump(exclude_none=True)
    source, subject = f"hydrant/{setup.partition}", data["request_id"]
    value = encode(event.type, data, id=event.id, source=source, subject=subject, location=subject, time_ms=turn.now)
    for partition in range(setup.partitions):
        if partition != setup.partition:
            key, headers = subject.encode(), ((fanned_out_header, b"1"),)
            turn.records.append(OutRecord(record.topic, key, value, headers, partition, record.timestamp_ms))
