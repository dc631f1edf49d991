"""The first step of a turn: facts go into documents. Which leads may now have something else to say?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from processor.shard.astray import bury, rehome
from processor.shard.backfill import backfill_requested, cancel_backfill, fan_out
from processor.shard.backfill import step as step_backfill
from processor.shard.hear_answer import hear_answer
from processor.shard.job import Backfill, Job, served, tallies
from processor.shard.lead import Lead
from processor.shard.location import Location, held_by
from processor.shard.notes import Note
from processor.shard.request import Request
from processor.shard.result import publish
from processor.shard.settle import finish
from processor.shard.setup import Setup
from processor.shard.state import Changes, Position
from processor.shard.sync_all import cancel_requested, location_requested, step
from processor.topics import home

unknown_for_ms: Final = 10_000  # DESIGN §3: an unknown lead is waited for
due_at_once: Final = 400  # keys of the agenda in a turn: a turn is short
touches_at_once: Final = 200  # documents in a turn that jobs walk in: an interactive lead waits for it
walked_at_least: Final = 50  # leads, whatever else goes on
recheck_ms: Final = 250  # lead.changes isn't read up to the request's arrival yet


@dataclass(frozen=True, slots=True)
class Reached:
    """The consumer's position on an input topic: everything before it has been heard."""

    topic: str
    offset: int


@dataclass(frozen=True, slots=True)
class Token:
    """The token that speaks for a paused location now; None: there is none."""

    location: str
    fingerprint: str | None


Input = Event | Malformed | Response | Reached | Token


def hear(changes: Changes, setup: Setup, inputs: Iterable[Input], now: int) -> Iterable[Lead]:
    touched: dict[str, Lead] = {}
    counts: dict[str, int] = {}
    oldest = now
    for one in inputs:
        match one:
            case Event():
                counts[one.type] = counts.get(one.type, 0) + 1
                oldest = min(oldest, one.record.timestamp_ms)
                leads = hear_event(changes, setup, one, now)
            case Response():
                leads = hear_answer(changes, setup, one, now)
            case Malformed():
                bury(changes, setup, one, now)
                leads = ()
            case Reached(topic, offset):
                Position.of(changes, topic).offset = offset
                leads = ()
            case Token():
                leads = hear_token(changes, one)
        touched.update((lead.key, lead) for lead in leads)
    touched.update((lead.key, lead) for lead in hear_time(changes, setup, now))
    if counts:
        changes.notes.append(Note("heard", {"counts": counts, "lag_ms": now - oldest}))
    return touched.values()


def hear_event(changes: Changes, setup: Setup, event: Event, now: int) -> Iterable[Lead]:
    data = event.data
    if isinstance(data, SyncBackfillRequested) or (isinstance(data, SyncCancelRequested) and data.location_id is None):
        fan_out(changes, setup, event, now)  # it has no home
        if isinstance(data, SyncBackfillRequested):
            backfill_requested(changes, data, event, now)
        else:
            cancel_backfill(changes, setup, data, now)
        return ()
    if home(data.location_id or "", setup.partitions) != setup.partition:
        rehome(changes, setup, event, data.location_id or "", now)
        return ()
    match data:
        case LeadChanged():
            return lead_changed(changes, data, event, now)
        case LeadDeleted():
            return lead_deleted(changes, data, event, now)
        case SyncLeadRequested():
            return sync_requested(changes, data, event, now)
        case SyncLocationRequested():
            location_requested(changes, data, event, now)
            return ()
        case SyncCancelRequested():
            cancel_requested(changes, setup, data, now)
            return ()
    raise TypeError(f"{event.type} is no input")


def lead_changed(changes: Changes, data: LeadChanged, event: Event, now: int) -> Iterable[Lead]:
    """A newer snapshot is work; an older or equal one is ignored."""
    lead = Lead.of(changes, data.location_id, data.lead_id)
    if not newer(lead, data, event.record.timestamp_ms, now):
        return ()
    if lead.lacks_nothing and lead.open is None:
        return ()
    if not data.loading:
        lead.cause(event.id, event.type, event.record.timestamp_ms, now)
    return (lead,)


def newer(lead: Lead, data: LeadChanged, timestamp_ms: int, now: int) -> bool:
    if lead.revision is not None and data.revision <= lead.revision:
        return False
    lead.take(data.snapshot(), data.revision, data.created_at_ms or timestamp_ms, now)
    return True


def lead_deleted(changes: Changes, data: LeadDeleted, event: Event, now: int) -> Iterable[Lead]:
    """Forget the lead and its work; whoever waits for it is told."""
    lead = Lead.of(changes, data.location_id, data.lead_id)
    if lead.revision is not None and data.revision <= lead.revision:
        return ()
    if lead.open:
        for job in served(changes, lead):
            for tally in tallies(changes, job):
                tally.leads -= 1
        lead.revision, lead.snapshot, lead.learned = data.revision, {}, {}
        while requests := Request.waiting(changes, lead.location, lead.id, limit=500):
            publish(changes, lead, "failed", "lead_deleted", now, requests=requests)
    lead.forget(data.revision, now)
    return ()


def sync_requested(changes: Changes, data: SyncLeadRequested, event: Event, now: int) -> Iterable[Lead]:
    """A Sync: its snapshot first, then the question; always answered, once."""
    since = event.record.timestamp_ms
    lead = Lead.of(changes, data.location_id, data.lead_id)
    fresh = data.lead is not None and newer(lead, data.lead, since, now)
    if Request.of(changes, data.location_id, data.lead_id, data.request_id):
        if fresh:
            lead.cause(event.id, event.type, since, now)
        return (lead,)
    request = Request(lead.location, lead.id, data.request_id, event.id, since, since + data.deadline_s * 1000)
    request.changes_end = event.changes_end or 0
    changes.hold(request, None)
    if now >= request.deadline:
        publish(changes, lead, "failed", "deadline", now, requests=[request])
        if fresh:
            lead.cause(event.id, event.type, since, now)
        return (lead,)
    if lead.deleted is not None:
        publish(changes, lead, "failed", "lead_deleted", now, requests=[request])
        return ()
    work = lead.work(since, now)
    work.asked += 1
    work.wants_messages |= data.include_messages
    work.lane = Lane.INTERACTIVE if data.lane == "interactive" else work.lane
    if lead.revision is None:
        work.due = work.due or now + unknown_for_ms
    elif not work.attempts:
        work.due = 0  # whoever asks doesn't wait for a second look at a young lead
    changes.refresh(request)
    return (lead,)


def hear_token(changes: Changes, token: Token) -> Iterable[Lead]:
    """Another token than the one that was refused: the location goes on at once."""
    location = Location.of(changes, token.location)
    if location.pause and location.pause.token != token.fingerprint:
        location.pause = None
        changes.busy[location.id] = None
    return ()


def hear_time(changes: Changes, setup: Setup, now: int) -> Sequence[Lead]:
    """What the time itself brings: deadlines, leads that didn't come, steps of jobs, documents that only remembered."""
    leads: list[Lead] = []
    jobs: list[Job] = []
    for key in changes.due(now, due_at_once):
        kind, *ids = key.split(" ")
        if kind == "location":
            changes.busy[ids[0]] = None
        elif kind == "request":
            overdue(changes, setup, ids, now)
        elif kind == "job" and (job := Job.of(changes, *ids)):
            jobs.append(job)
        elif kind == "backfill" and (whole := Backfill.of(changes, *ids)):
            step_backfill(changes, setup, whole, now)
        elif kind == "lead":
            lead = Lead.of(changes, *ids)
            if lead.open is None:
                lead.revision = lead.expires = None  # forgotten
            elif lead.revision is None:
                unknown(changes, lead, now)
            leads.append(lead)
    room = max(touches_at_once - changes.size, walked_at_least)
    for job in jobs:
        if room > 0:  # the others are due in the next turn
            leads += step(changes, setup, job, now, room)
        room = touches_at_once - changes.size
    return leads


def overdue(changes: Changes, setup: Setup, ids: Sequence[str], now: int) -> None:
    """A request's deadline is past: it fails with what held it. Or it was answered a day ago: it is forgotten."""
    location, lead_id, request_id = ids
    request = Request.of(changes, location, lead_id, request_id)
    if request is None or request.answered is not None:
        if request is not None:
            request.forgotten = True
        return
    lead = Lead.of(changes, location, lead_id)
    publish(changes, lead, "failed", held_by(changes, setup, lead, now), now, requests=[request])
    if lead.open:
        lead.open.asked -= 1
        if not lead.open.asked:
            lead.open.lane = (
                Lane.CHANGE
                if lead.open.causes
                else min((job.lane for job in served(changes, lead)), default=Lane.CHANGE)
            )
            if lead.open.question and lead.open.question.by == "export":
                lead.open.uncover()  # pages that went by meanwhile weren't for it
            lead.open = lead.open if lead.open.wanted else None


def unknown(changes: Changes, lead: Lead, now: int) -> None:
    """Nobody told us of this lead. That is only known once lead.changes is read up to the requests' arrival."""
    read_up_to = Position.of(changes, "lead.changes").offset
    requests = Request.waiting(changes, lead.location, lead.id, limit=500)
    if any(request.changes_end > read_up_to for request in requests):
        lead.work(now, now).due = now + recheck_ms
        return
    finish(changes, lead, "failed", "unknown_lead", now)
