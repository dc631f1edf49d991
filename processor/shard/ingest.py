"""The first step of a turn: facts go into documents. Yields what may now have another outcome.

An event that ends a lead's work yields the lead at once, so that what comes later in the turn opens new work.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from processor.events.cloudevents import Event, Malformed
from processor.events.contract import (
    LeadChanged,
    LeadDeleted,
    SyncBackfillRequested,
    SyncCancelRequested,
    SyncLeadRequested,
    SyncLocationRequested,
)
from processor.highlevel.responses import Response
from processor.ratelimit.budget import Lane
from processor.shard.documents.lead import Lead
from processor.shard.documents.ledger import Position
from processor.shard.documents.location import Location
from processor.shard.documents.sync_request import SyncRequest
from processor.shard.ingest_responses import ingest_response
from processor.shard.inputs import CurrentToken, Input, InputPosition, OverdueSync, Touched, Unserved
from processor.shard.jobs.backfill import accept_backfill, cancel_backfill
from processor.shard.jobs.counting import counters_of, waiting_jobs
from processor.shard.jobs.location import accept_job, cancel_job
from processor.shard.publish import fan_out, forward_to_home, publish_dead_letter
from processor.shard.store import UnitOfWork
from processor.shard.timers import fire_timers
from processor.telemetry.catalogue import EventsIngested
from processor.topics import home

unknown_for_ms: Final = 10_000  # DESIGN §3: an unknown lead is waited for


def ingest(turn: UnitOfWork, inputs: Iterable[Input]) -> Iterator[Touched]:
    """Ingest all inputs, then fire the timers that are due. A lead that still has open work is yielded once, last."""
    touched: dict[str, Lead] = {}
    counts: dict[str, int] = {}
    oldest = turn.now
    for one in inputs:
        match one:
            case Event():
                counts[one.type] = counts.get(one.type, 0) + 1
                oldest = min(oldest, one.record.timestamp_ms)
                found = ingest_event(turn, one)
            case Response():
                found = ingest_response(turn, one)
            case Malformed():
                found = ingest_malformed(turn, one)
            case InputPosition(topic, offset):
                Position.of(turn, topic).offset = offset
                continue
            case CurrentToken():
                ingest_token(turn, one)
                continue
        yield from keep_leads(found, touched)
    yield from keep_leads(fire_timers(turn), touched)
    if counts:
        turn.telemetry.append(EventsIngested(counts=counts, lag_ms=turn.now - oldest))
    yield from touched.values()


def keep_leads(found: Iterable[Touched], touched: dict[str, Lead]) -> Iterator[Touched]:
    """Keep leads for the end of the step; yield the rest, and leads with work that has certainly ended."""
    for one in found:
        if not isinstance(one, Lead) or one.deleted is not None or (one.work and one.work.failure):
            yield one
        else:
            touched[one.key] = one


def ingest_event(turn: UnitOfWork, event: Event) -> Iterable[Touched]:
    data = event.data
    if isinstance(data, SyncBackfillRequested):
        fan_out(turn, event)  # it has no home
        accept_backfill(turn, data, event)
        return ()
    if isinstance(data, SyncCancelRequested) and data.location_id is None:
        fan_out(turn, event)
        cancel_backfill(turn, data.request_id)
        return ()
    location = data.location_id or ""
    if home(location, turn.setup.partitions) != turn.setup.partition:
        misrouted = forward_to_home(turn, event, location)
        return ingest_malformed(turn, misrouted) if misrouted else ()
    match data:
        case LeadChanged():
            return lead_changed(turn, data, event)
        case LeadDeleted():
            return lead_deleted(turn, data)
        case SyncLeadRequested():
            return sync_requested(turn, data, event)
        case SyncLocationRequested():
            accept_job(turn, data, event)
            return ()
        case SyncCancelRequested():
            cancel_job(turn, location, data.request_id)
            return ()
    raise TypeError(f"{event.type} is no input")


def ingest_malformed(turn: UnitOfWork, malformed: Malformed) -> Iterable[Touched]:
    """Dead-letter it; a request with readable ids is answered all the same."""
    publish_dead_letter(turn, malformed)
    return () if malformed.request is None else (Unserved(malformed),)


def lead_changed(turn: UnitOfWork, data: LeadChanged, event: Event) -> Iterable[Lead]:
    """Take a newer snapshot; it is work, if the lead lacks anything. An older or equal one is ignored."""
    lead = Lead.of(turn, data.location_id, data.lead_id)
    if not take_snapshot(turn, lead, data, event.record.timestamp_ms):
        return ()
    if lead.lacks_nothing and lead.work is None:
        return ()
    if not data.loading:
        lead.add_cause(event.id, event.type, event.record.timestamp_ms, turn.now)
    return (lead,)


def take_snapshot(turn: UnitOfWork, lead: Lead, data: LeadChanged, timestamp_ms: int) -> bool:
    """Take a snapshot if it is newer than the lead's. Return True if it was."""
    if lead.revision is not None and data.revision <= lead.revision:
        return False
    lead.take(data.snapshot(), data.revision, data.created_at_ms or timestamp_ms, turn.now)
    return True


def lead_deleted(turn: UnitOfWork, data: LeadDeleted) -> Iterable[Lead]:
    """Forget the lead; only Syncs still wait for an answer."""
    lead = Lead.of(turn, data.location_id, data.lead_id)
    if lead.revision is not None and data.revision <= lead.revision:
        return ()
    if lead.work:
        for job in waiting_jobs(turn, lead):
            for counters in counters_of(turn, job):
                counters.leads -= 1
        lead.work.waiters.causes, lead.work.waiters.jobs = [], []
    lead.delete(data.revision, turn.now)
    return (lead,)


def sync_requested(turn: UnitOfWork, data: SyncLeadRequested, event: Event) -> Iterable[Touched]:
    """Take a Sync's snapshot first, then its question. A repeated one is not asked again."""
    since = event.record.timestamp_ms
    lead = Lead.of(turn, data.location_id, data.lead_id)
    fresh = data.lead is not None and take_snapshot(turn, lead, data.lead, since)
    if SyncRequest.find(turn, data.location_id, data.lead_id, data.request_id):
        if fresh:
            lead.add_cause(event.id, event.type, since, turn.now)
        yield lead
        return
    request = SyncRequest(lead.location, lead.id, data.request_id, event.id, since, since + data.deadline_s * 1000)
    request.changes_end = event.changes_end or 0
    turn.add(request)
    late = turn.now >= request.deadline
    if late or lead.deleted is not None:
        yield OverdueSync(lead, request, on_arrival=True)
        if late:
            if fresh:
                lead.add_cause(event.id, event.type, since, turn.now)
            yield lead
        return
    work = lead.open_work(since, turn.now)
    work.waiters.requests += 1
    work.wants_messages |= data.include_messages
    work.lane = Lane.INTERACTIVE if data.lane == "interactive" else work.lane
    if lead.revision is None:
        work.due = work.due or turn.now + unknown_for_ms
    elif not work.attempts:
        work.due = 0  # a Sync doesn't wait for a second look at a young lead
    yield lead


def ingest_token(turn: UnitOfWork, token: CurrentToken) -> None:
    """Another token than the one that was refused speaks for the location: it goes on at once."""
    location = Location.of(turn, token.location)
    if location.pause and location.pause.token != token.fingerprint:
        location.pause = None
        turn.locations_to_schedule[location.id] = None
