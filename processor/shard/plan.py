"""Spend: while a location has a free slot, the best call for what is pending now. No call ever queues."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from processor.highlevel.requests import Call, ExportMessages, GetContact, LeadQuestion, Question, QuestionKind, Search
from processor.ratelimit.budget import Budget, Lane, Permit
from processor.shard.export import begin as begin_export
from processor.shard.export import page as export_page
from processor.shard.job import Job, active, tallies
from processor.shard.lead import Lead, messages_lane
from processor.shard.ledger import Ledger
from processor.shard.location import Location
from processor.shard.messages import since
from processor.shard.notes import Note
from processor.shard.scan import page
from processor.shard.setup import Setup
from processor.shard.state import Changes
from processor.shard.tables import Pending

leads_per_value: Final = 4  # leads that ask the same share a value; more than that wait for the next call
alone_in_a_call: Final = ("get", "export")
leads_per_get: Final = 400
nobody: Final = (Question(QuestionKind.ID, "none"),)  # a contact that there isn't
look_again_ms: Final = 1_000  # while nothing is granted at all


def spend(changes: Changes, setup: Setup, now: int, granting: bool) -> list[Call]:
    """Calls to make for every location that may have a use for a slot now, and when to look at each again."""
    calls = []
    for name in changes.busy:
        location, ledger = Location.of(changes, name), Ledger.of(changes, setup, name, now)
        calls += spend_one(changes, setup, location, ledger.budget, now, granting)
    return calls


def spend_one(
    changes: Changes, setup: Setup, location: Location, budget: Budget, now: int, granting: bool
) -> list[Call]:
    calls: list[Call] = []
    while True:
        if calls and (paced_until := budget.free_at(now)) > now:  # most often; whatever waits is looked for then
            changes.remind(location.key, paced_until)
            return calls
        first, job = changes.first_pending(location.id), None
        if max(first, default=Lane.INTERACTIVE) >= Lane.JOB:
            job = active(changes, location.id)
            if job and begin_export(changes, job, first, now):
                continue
            first = open_lanes(changes, setup, location.id, first, job)
        nobodys = not first
        if nobodys and (location.pause or location.breaker.open):
            first = {Lane.BACKFILL: now}  # nothing is asked, but whether it is cured is
        held_until = location.free_at(budget, now, asked=Lane.INTERACTIVE in first) if granting else now + look_again_ms
        lanes_due = ((Lane(number), at) for number, at in first.items())
        ready = {lane: max(at, held_until, budget.free_at(now, lane)) for lane, at in lanes_due}
        waiting = [lane for lane, at in ready.items() if at <= now]
        if not waiting:
            changes.remind(location.key, min(ready.values(), default=None))
            return calls
        # a probe comes from whatever has waited longest, else one urgent lead could keep the circuit open
        lane = min(waiting, key=lambda lane: first[lane]) if location.breaker.open else budget.choose(waiting)
        if nobodys or location.breaker.probe_query_due:
            turns_page, lanes = False, []
        else:
            turns_page = job is not None and job.wants_page and lane == job.lane
            lanes = [] if turns_page else tables_lanes(sorted(waiting, key=lambda one: (one != lane, one)), job)
        size = 1 if location.breaker.open or (job and job.ors_refused) else setup.probe_size
        questions = compose(changes, setup, location, lanes, size, now)
        permit = budget.grant(now, lane, waiting)
        if location.pause:
            location.pause.tried = now  # this call is the trial
        if job and lane == job.lane:
            for tally in tallies(changes, job):
                tally.spent += 1
        if job and turns_page:
            job.scan_from = job.scan_from or now
            calls.append(Call(permit, page(job) if job.stage == "scanning" else export_page(job), ()))
            changes.in_flight(location.id, [f"job {job.id}"], permit.slot)
        else:
            calls.append(call(changes, permit, questions))
            changes.in_flight(location.id, [lead for lead, _ in questions], permit.slot)
        note(changes, calls[-1], lane, now - first[lane])


def open_lanes(
    changes: Changes, setup: Setup, location: str, first: Mapping[int, int], job: Job | None
) -> dict[int, int]:
    """Of the lanes of jobs only the active one's: its next page, or its questions, as many as may be in flight."""
    kept = {lane: at for lane, at in first.items() if lane < Lane.JOB}
    if job is None:
        return kept
    at = None
    if job.wants_page:
        at = changes.page_due(location, job.id)
    elif lanes := tables_lanes([job.lane], job):
        due = [first[lane] for lane in lanes if lane in first]
        if due and changes.flying(location, *lanes) < setup.job_concurrency:
            at = min(due)
    return kept if at is None else kept | {job.lane: at}


def tables_lanes(lanes: Sequence[int], job: Job | None) -> list[int]:
    """Where the questions of these lanes stand that may be asked now: a job's messages come when all else is known."""
    found: list[int] = []
    for lane in lanes:
        if job is None or lane != job.lane:
            found.append(lane)
        elif job.stage == "messaging":
            found += [lane, lane + messages_lane]
        elif job.stage == "asking":
            found.append(lane)
    return found


def compose(
    changes: Changes, setup: Setup, location: Location, waiting: Iterable[int], size: int, now: int
) -> list[tuple[str, Pending]]:
    """The first lane's first question and all that can ride along with it, up to `size` values."""
    chosen: list[tuple[str, Pending]] = []
    values: set[tuple[str, str]] = set()
    for lane in waiting:
        for lead, question in changes.pending(location.id, lane, now, setup.probe_size * leads_per_value):
            asked = (question.by, question.value)
            alone = question.by in alone_in_a_call or (bool(values) and chosen[0][1].by in alone_in_a_call)
            if values and question.by == "export":
                continue
            if asked not in values and values and (alone or len(values) >= min(size, question.width)):
                continue
            size = min(size, question.width)
            values.add(asked)
            chosen.append((lead, question))
    if chosen and chosen[0][1].by == "get" and chosen[0][1].lane >= Lane.JOB:  # a GET at most once a contact
        named, question = {lead for lead, _ in chosen}, chosen[0][1]
        others = changes.sought(location.id, "get", question.value, leads_per_get)
        chosen += [(lead, question) for lead in others if lead not in named]
    return chosen


def call(changes: Changes, permit: Permit, questions: Sequence[tuple[str, Pending]]) -> Call:
    """The call that asks all this at once; without any question one that asks after nobody."""
    if not questions:
        return Call(permit, Search(permit.location, nobody), ())
    name, first = questions[0]
    if first.by == "export":
        lead = Lead.of(changes, permit.location, name)
        cursor = lead.open.cursor if lead.open else None
        if lead.open and cursor is None:
            lead.open.export_from = since(lead, first.value)
        start = lead.open.export_from if lead.open else None
        return Call(
            permit,
            ExportMessages(permit.location, first.value, start, cursor),
            (LeadQuestion(name, Question(QuestionKind.MESSAGES, first.value)),),
        )
    if first.by == "get":
        asks = tuple(LeadQuestion(lead, Question(QuestionKind.CONTACT, question.value)) for lead, question in questions)
        return Call(permit, GetContact(permit.location, first.value), asks)
    asks = tuple(
        LeadQuestion(lead, Question(QuestionKind(question.by), question.value)) for lead, question in questions
    )
    wanted = tuple(dict.fromkeys(ask.question for ask in asks))
    return Call(permit, Search(permit.location, wanted), asks)


def note(changes: Changes, made: Call, lane: Lane, wait_ms: int) -> None:
    fields = {
        "location": made.permit.location,
        "kind": made.kind.value,
        "lane": Lane(lane).label,
        "wait_ms": wait_ms,
        "values": len(made.request.values) if isinstance(made.request, Search) else 1,
        "leads": len(made.questions),
    }
    changes.notes.append(Note("granted", fields))
