"""The first step of a turn: facts go into documents. Which leads may now have something else to say?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from processor.events.contract import LeadChanged, LeadDeleted, SyncLeadRequested
from processor.events.wire import Event, Malformed, Record, dead_letter, request_ids
from processor.highlevel.budget import change, interactive
from processor.highlevel.calls import Answer
from processor.shard.hear_answer import hear_answer
from processor.shard.lead import Lead
from processor.shard.location import Location, held_by
from processor.shard.notes import Note
from processor.shard.request import Request
from processor.shard.result import emit, publish
from processor.shard.settle import finish
from processor.shard.setup import Setup
from processor.shard.state import Changes, Out, Position
from processor.topics import home, prefixed

rehomed: Final = "hydrant-rehomed"
unknown_for_ms: Final = 10_000  # DESIGN §3: an unknown lead is waited for
due_at_once: Final = 400  # keys of the agenda in a turn: a turn is short
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


Input = Event | Malformed | Answer | Reached | Token


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
            case Answer():
                leads = hear_answer(changes, setup, one, now)
            case Malformed():
                leads = bury(changes, setup, one, now)
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
    if home(data.location_id, setup.partitions) != setup.partition:
        return rehome(changes, setup, event, now)
    match data:
        case LeadChanged():
            return lead_changed(changes, data, event, now)
        case LeadDeleted():
            return lead_deleted(changes, data, event, now)
        case SyncLeadRequested():
            return sync_requested(changes, data, event, now)
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
    work.lane = interactive if data.lane == "interactive" else work.lane
    if lead.revision is None:
        work.due = work.due or now + unknown_for_ms
    elif not work.attempts:
        work.due = 0  # whoever asks doesn't wait for a second look at a young lead
    changes.refresh(request)
    return (lead,)


def rehome(changes: Changes, setup: Setup, event: Event, now: int) -> Iterable[Lead]:
    """An event of a location that lives elsewhere: sent home once, buried when it strays again."""
    record = event.record
    if any(name == rehomed for name, _ in record.headers):
        strayed = f"{event.type}: strayed a second time"
        return bury(changes, setup, Malformed("misrouted", strayed, record, request_ids(event)), now)
    there = home(event.data.location_id, setup.partitions)
    headers = (*record.headers, (rehomed, b"1"))
    key = event.data.location_id.encode()
    changes.records.append(Out(record.topic, key, record.value, headers, there, record.timestamp_ms))
    said = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "home": there}
    changes.notes.append(Note("rehomed", said))
    return ()


def bury(changes: Changes, setup: Setup, malformed: Malformed, now: int) -> Iterable[Lead]:
    """What no retry cures goes to the dead letters; a request whose ids can be read is answered all the same."""
    record = malformed.record
    key, value, headers = dead_letter(malformed, prefixed(setup.prefix, record.topic), now)
    changes.records.append(Out("dead.letters", key or b"", value, tuple(headers)))
    said = {
        "reason": malformed.reason,
        "detail": malformed.detail,
        "topic": record.topic,
        "partition": record.partition,
    }
    changes.notes.append(Note("buried", said | {"offset": record.offset}))
    if malformed.request is not None:
        refuse(changes, malformed, record, now)
    return ()


def refuse(changes: Changes, malformed: Malformed, record: Record, now: int) -> None:
    """Answer a request that can't be served: `failed`, once."""
    ids, reason = malformed.request, "internal_error" if malformed.reason == "internal_error" else "invalid"
    if ids is None:
        return
    if ids.lead_id is None:
        data: dict[str, object] = {"request_id": ids.request_id, "location_id": ids.location_id, "reason": reason}
        unique = f"{ids.request_id}:{record.topic}:{record.offset}"
        about, source = ids.location_id or ids.request_id, None if ids.location_id else record.partition
        emit(changes, "sync.progress", "sync.failed", about, ids.request_id, unique, data, now, source)
    elif ids.location_id and Request.of(changes, ids.location_id, ids.lead_id, ids.request_id) is None:
        lead = Lead.of(changes, ids.location_id, ids.lead_id)
        request = Request(ids.location_id, ids.lead_id, ids.request_id, ids.event_id or "", record.timestamp_ms)
        changes.hold(request, None)
        publish(changes, lead, "failed", reason, now, requests=[request])


def hear_token(changes: Changes, token: Token) -> Iterable[Lead]:
    """Another token than the one that was refused: the location goes on at once."""
    location = Location.of(changes, token.location)
    if location.pause and location.pause.token != token.fingerprint:
        location.pause = None
        changes.busy[location.id] = None
    return ()


def hear_time(changes: Changes, setup: Setup, now: int) -> Sequence[Lead]:
    """What the time itself brings: deadlines, leads that didn't come, and documents that only remembered."""
    touched = []
    for key in changes.due(now, due_at_once):
        kind, *ids = key.split(" ")
        if kind == "location":
            changes.busy[ids[0]] = None
        elif kind == "request":
            overdue(changes, setup, ids, now)
        elif kind == "lead":
            lead = Lead.of(changes, *ids)
            if lead.open is None:
                lead.revision = lead.expires = None  # forgotten
            elif lead.revision is None:
                unknown(changes, lead, now)
            touched.append(lead)
    return touched


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
            lead.open.lane = change
            lead.open = lead.open if lead.open.causes else None


def unknown(changes: Changes, lead: Lead, now: int) -> None:
    """Nobody told us of this lead. That is only known once lead.changes is read up to the requests' arrival."""
    read_up_to = Position.of(changes, "lead.changes").offset
    requests = Request.waiting(changes, lead.location, lead.id, limit=500)
    if any(request.changes_end > read_up_to for request in requests):
        lead.work(now, now).due = now + recheck_ms
        return
    finish(changes, lead, "failed", "unknown_lead", now)
