"""Walks of a job through its leads, some in a turn: open, decide, close, detach, return what it borrowed.

The place where a walk is stands in the job's document, so the next owner goes on from there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from processor.highlevel.requests import Question, QuestionKind
from processor.ratelimit.budget import Lane
from processor.shard.decide import Ask, decide_lead
from processor.shard.documents.job import Job
from processor.shard.documents.lead import Lead, leads_per_value
from processor.shard.documents.work import LeadWork, ListingMatch, MessagesOutcome, Waiters
from processor.shard.indexes import message_queues
from processor.shard.jobs.counting import counters_of
from processor.shard.jobs.machine import Step
from processor.shard.jobs.scan import scan_match
from processor.shard.match import BestMatch
from processor.shard.store import UnitOfWork


def open_leads(turn: UnitOfWork, job: Job, limit: int) -> Sequence[Lead]:
    """The job becomes a waiter in the open work of the location's leads; a dry run only looks at them."""
    found = turn.leads(job.location, job.walked, limit)
    leads = [lead for name in found if (lead := Lead.of(turn, job.location, name)).exists]
    same: Counter[Question] = Counter()
    for lead in leads:
        is_new = lead.work is None
        if job.dry_run:
            work = trial_work(lead.work) if lead.work else LeadWork(job.published_at, turn.now)
        else:
            work = lead.open_work(job.published_at, turn.now)
        join_work(job, work, is_new)
        decision = decide_lead(lead, work, turn.setup.fetch_fields, turn.now)
        if isinstance(decision, Ask):
            question = decision.question
            searched = question.kind is not QuestionKind.CONTACT and not is_crowded(turn, lead, question, same)
            work.listing = ListingMatch() if searched else None
            same[question] += 1
            count_question(turn, job, lead, question)
    for counters in counters_of(turn, job):
        counters.leads += len(leads)
    if job.walk(found, limit):
        job.advance(Step.OPENED, turn.now)
    return () if job.dry_run else leads


def trial_work(work: LeadWork) -> LeadWork:
    """Return a copy for a dry run, which changes nothing."""
    waiters = Waiters([*work.waiters.causes], work.waiters.requests, [*work.waiters.jobs])
    return replace(work, waiters=waiters, listing=replace(work.listing) if work.listing else None)


def join_work(job: Job, work: LeadWork, is_new: bool) -> None:
    """The job waits for a lead's work, and borrows it from the change lane."""
    if job.id not in work.waiters.jobs:
        work.waiters.jobs.append(job.id)
    if work.listing:
        work.listing.match = None
    work.wants_messages |= job.wants_messages
    if is_new:
        work.lane = job.lane
    elif job.lane is Lane.JOB and work.lane >= Lane.CHANGE and not work.waiters.requests:
        job.borrowed += bool(work.waiters.causes)
        work.lane = job.lane


def is_crowded(turn: UnitOfWork, lead: Lead, question: Question, same: Counter[Question]) -> bool:
    """True if so many leads ask the same that no page may touch them all: they are probed."""
    others = [name for name in turn.waiting_for(lead.location, question, leads_per_value + 1) if name != lead.id]
    return len(others) + same[question] >= leads_per_value


def count_question(turn: UnitOfWork, job: Job, lead: Lead, question: Question) -> None:
    """Count what the plan is made from."""
    kind = question.kind.value
    job.questions[kind] = job.questions.get(kind, 0) + 1
    if question.kind is not QuestionKind.CONTACT:
        for name in sorted(turn.setup.fetch_fields.intersection(lead.gaps())):
            job.gaps[name] = job.gaps.get(name, 0) + 1


def decide_leads(turn: UnitOfWork, job: Job, limit: int) -> Sequence[Lead]:
    """The scan is over: what it found for a lead, or that it found nothing, is as good as a search."""
    found = turn.askers(job.location, job.walked, limit, job.lane)
    leads = []
    for name in found:
        lead = Lead.of(turn, job.location, name)
        work = lead.work
        if work is None or work.question is None or not work.listing or work.lane != job.lane:
            continue
        best = scan_match(job, work) or BestMatch()
        work.listing = None
        work.asked = True
        match work.question.kind:
            case QuestionKind.ID:
                work.hydrating().searched = work.question.value
                if best.contact:
                    lead.fill(work, best.contact)
            case QuestionKind.EMAIL | QuestionKind.PHONE:
                work.resolving().match = best
        leads.append(lead)
    if job.walk(found, limit):
        job.advance(Step.DECIDED, turn.now)
    return leads


def close_leads(turn: UnitOfWork, job: Job, limit: int) -> Sequence[Lead]:
    """The export is over: each lead that it looked for has its messages, or there are none."""
    found = turn.askers(job.location, job.walked, limit, message_queues[job.lane])
    closed = []
    for name in found:
        lead = Lead.of(turn, job.location, name)
        work = lead.work
        if work and work.listing and work.lane == job.lane:
            imported = MessagesOutcome.IMPORTED if work.imported else MessagesOutcome.NONE
            work.reading().outcome = MessagesOutcome.FAILED if job.export.failed else imported
            work.listing = None
            closed.append(lead)
        elif work and job.export.failed:
            work.reading().outcome = MessagesOutcome.FAILED
            closed.append(lead)
    if job.walk(found, limit):
        job.advance(Step.CLOSED, turn.now)
    return closed


def detach_leads(turn: UnitOfWork, job: Job, limit: int) -> bool:
    """The job was cancelled or has failed: what others want of its leads is theirs again. True if all are detached."""
    found = turn.askers(job.location, job.walked, limit)
    for name in found:
        lead = Lead.of(turn, job.location, name)
        if lead.work:
            lead.work.detach(job.id, job.lane)
            lead.work = lead.work if lead.work.waiters.any() else None
    turn.locations_to_schedule[job.location] = None
    return job.walk(found, limit)


def return_borrowed(turn: UnitOfWork, job: Job, limit: int) -> None:
    """The job stands still, while the day still has calls for changes: the borrowed ones are the change lane's again."""
    found = turn.askers(job.location, job.returning or "", limit)
    for name in found:
        work = Lead.of(turn, job.location, name).work
        if work and work.waiters.causes and work.lane == job.lane:
            work.return_borrowed()
    job.returning = found[-1] if found else job.returning
    turn.locations_to_schedule[job.location] = None
    if len(found) < limit:
        job.returning, job.borrowed = None, 0
