"""Schedule: while a location has a free slot, the best call for what is pending now. No call ever queues."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from processor.highlevel.requests import (
    Call,
    CallRequest,
    ExportMessages,
    GetContact,
    LeadQuestion,
    Question,
    QuestionKind,
    Search,
)
from processor.ratelimit.budget import Budget, Lane, Permit
from processor.shard.documents.job import Job
from processor.shard.documents.lead import Lead, leads_per_value
from processor.shard.documents.ledger import Ledger
from processor.shard.documents.location import Location
from processor.shard.documents.work import ReadMessages, lanes
from processor.shard.indexes import Pending, message_queues
from processor.shard.jobs.counting import active_job, counters_of
from processor.shard.jobs.listing import next_page_request
from processor.shard.jobs.machine import JobStage
from processor.shard.store import UnitOfWork
from processor.telemetry.catalogue import CallGranted

leads_per_get: Final = 400
probe_query: Final = (Question(QuestionKind.ID, "none"),)  # a contact that there isn't
granting_recheck_ms: Final = 1_000  # while nothing is granted at all

Chosen = list[tuple[str, Pending]]  # leads, and what they ask


def schedule(turn: UnitOfWork, granting: bool) -> Sequence[Call]:
    """Return the calls to make for every location that may have a use for a slot now."""
    return [call for name in turn.locations_to_schedule for call in schedule_location(turn, name, granting)]


def schedule_location(turn: UnitOfWork, name: str, granting: bool) -> Iterator[Call]:
    """Yield the location's calls, and set the timer for its next one."""
    location, budget = Location.of(turn, name), Ledger.of(turn, name).budget
    timer, granted = f"schedule {name}", 0
    while True:
        if granted and (paced_until := budget.free_at(turn.now)) > turn.now:
            turn.set_timer(timer, paced_until)  # most often; pending questions are looked for then
            return
        first, job = turn.first_due(name), None
        if max(first, default=Lane.INTERACTIVE) >= Lane.JOB:
            job = active_job(turn, name)
            first = open_lanes(turn, first, job)
        only_probe = not first
        if only_probe and (location.pause or location.breaker.open):
            first = {
                Lane.BACKFILL: turn.now
            }  # no lead's question: the call only finds out if the location is served again
        held_until = location.free_at(budget, turn.now, Lane.INTERACTIVE in first)
        if not granting:
            held_until = turn.now + granting_recheck_ms
        ready = {lane: max(at, held_until, budget.free_at(turn.now, lanes[lane])) for lane, at in first.items()}
        waiting = [lanes[lane] for lane, at in ready.items() if at <= turn.now]
        if not waiting:
            turn.set_timer(timer, min(ready.values(), default=None))
            return
        yield grant_call(turn, location, budget, job, first, waiting, only_probe)
        granted += 1


def open_lanes(turn: UnitOfWork, first: Mapping[int, int], job: Job | None) -> dict[int, int]:
    """Leave of the queues of jobs only the active one's: its next page, or its questions within its concurrency."""
    kept = {lane: at for lane, at in first.items() if lane < Lane.JOB}
    if job is None:
        return kept
    at = None
    if job.wants_page:
        at = turn.page_due(job.location, job.id)
    elif queues := open_queues(job):
        due = [first[queue] for queue in queues if queue in first]
        if due and turn.calls_in_flight(job.location, queues) < turn.setup.job_concurrency:
            at = min(due)
    return kept if at is None else kept | {int(job.lane): at}


def open_queues(job: Job) -> Sequence[int]:
    """Return the queues of a job that may be asked now: its messages come when all else is known."""
    match job.stage:
        case JobStage.ASKING:
            return (int(job.lane),)
        case JobStage.MESSAGING:
            return (int(job.lane), int(message_queues[job.lane]))
    return ()


def grant_call(
    turn: UnitOfWork,
    location: Location,
    budget: Budget,
    job: Job | None,
    first: Mapping[int, int],
    waiting: Sequence[Lane],
    only_probe: bool,
) -> Call:
    """Grant a slot to the next lane, and compose the best call for it."""
    open_circuit = location.breaker.open
    # a probe comes from whatever has waited longest, else one urgent lead could keep the circuit open
    lane = min(waiting, key=lambda one: first[one]) if open_circuit else budget.choose(waiting)
    sends_probe_query = only_probe or location.breaker.probe_query_due
    turns_page = not sends_probe_query and job is not None and job.wants_page and lane == job.lane
    chosen: Chosen = []
    if not sends_probe_query and not turns_page:
        size = 1 if open_circuit or (job and job.multi_value_unsupported) else turn.setup.probe_size
        others = [one for one in sorted(waiting) if one != lane]
        queues = [queue for one in (lane, *others) for queue in queues_of(one, job)]
        chosen = compose(turn, location.id, queues, size)
    permit = budget.grant(turn.now, lane, waiting)
    if location.pause:
        location.pause.tried = turn.now  # this call is the trial
    if job and lane == job.lane:
        for counters in counters_of(turn, job):
            counters.spent += 1
    if job and turns_page:
        job.scan.started = job.scan.started or turn.now
        call = Call(permit, next_page_request(job), ())
        turn.call_granted(location.id, [f"job {job.id}"], permit.slot)
    else:
        call = compose_call(turn, permit, chosen)
        turn.call_granted(location.id, [lead for lead, _ in chosen], permit.slot)
    turn.telemetry.append(call_granted(call, lane, wait_ms=turn.now - first[lane]))
    return call


def queues_of(lane: Lane, job: Job | None) -> Sequence[int]:
    return (int(lane),) if job is None or lane != job.lane else open_queues(job)


def compose(turn: UnitOfWork, location: str, queues: Iterable[int], size: int) -> Chosen:
    """Choose the first queue's first question and all that can ride along with it, up to `size` values."""
    chosen: Chosen = []
    values: set[tuple[str, str]] = set()
    for queue in queues:
        for lead, question in turn.pending(location, queue, turn.now, turn.setup.probe_size * leads_per_value):
            asked = (question.kind, question.value)
            alone = question.kind in alone_in_a_call or (bool(values) and chosen[0][1].kind in alone_in_a_call)
            if values and question.kind == QuestionKind.MESSAGES:
                continue
            if asked not in values and values and (alone or len(values) >= min(size, question.width)):
                continue
            size = min(size, question.width)
            values.add(asked)
            chosen.append((lead, question))
    if chosen and chosen[0][1].kind == QuestionKind.CONTACT and chosen[0][1].queue >= Lane.JOB:
        return chosen + rest_of_contact(turn, location, chosen)
    return chosen


alone_in_a_call: Final = (QuestionKind.CONTACT, QuestionKind.MESSAGES)


def rest_of_contact(turn: UnitOfWork, location: str, chosen: Chosen) -> Chosen:
    """A job fetches a contact at most once: return the other leads that wait for it."""
    names, pending = {lead for lead, _ in chosen}, chosen[0][1]
    question = Question(QuestionKind.CONTACT, pending.value)
    found = turn.waiting_for(location, question, leads_per_get)
    return [(lead, pending) for lead in found if lead not in names]


def compose_call(turn: UnitOfWork, permit: Permit, chosen: Chosen) -> Call:
    """Return the call that asks all this at once; without any question a probe query."""
    if not chosen:
        return Call(permit, Search(permit.location, probe_query), ())
    asked = tuple(LeadQuestion(lead, Question(QuestionKind(one.kind), one.value)) for lead, one in chosen)
    first = asked[0].question
    request: CallRequest
    match first.kind:
        case QuestionKind.MESSAGES:
            request = export_request(Lead.of(turn, permit.location, asked[0].lead), first.value)
        case QuestionKind.CONTACT:
            request = GetContact(permit.location, first.value)
        case _:
            values = tuple(dict.fromkeys(one.question for one in asked))
            request = Search(permit.location, values)
    return Call(permit, request, asked)


def export_request(lead: Lead, contact: str) -> ExportMessages:
    """Return the request for the next page of a contact's messages; the pages of one export ask the same."""
    stage = lead.work.stage if lead.work else None
    assert isinstance(stage, ReadMessages)
    if stage.cursor is None:
        known = lead.checkpoints.get(contact)
        stage.export_from = known.export_from if known else None
    return ExportMessages(lead.location, contact, stage.export_from, stage.cursor)


def call_granted(call: Call, lane: Lane, wait_ms: int) -> CallGranted:
    return CallGranted(
        location=call.permit.location,
        kind=call.kind,
        lane=lane.label,
        wait_ms=wait_ms,
        values=len(call.request.values) if isinstance(call.request, Search) else 1,
        leads=len(call.questions),
    )
