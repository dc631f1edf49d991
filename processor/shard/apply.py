"""Act on a decision: set the question, wait, or publish the outcome and close the work."""

from typing import Final

from processor.highlevel.contact import Contact
from processor.highlevel.requests import Question, QuestionKind
from processor.ratelimit.budget import Lane
from processor.shard.decide import (
    Ask,
    Done,
    Link,
    Wait,
    conclude,
    decide,
    decide_late,
    decide_malformed,
    decide_overdue,
)
from processor.shard.documents.lead import Lead, NegativeCache, facts, leads_per_value
from processor.shard.documents.work import LeadWork, ListingMatch, MessagesOutcome
from processor.shard.inputs import OverdueSync, Unserved
from processor.shard.jobs.counting import active_job, count_outcome, waiting_jobs
from processor.shard.jobs.machine import JobStage
from processor.shard.publish import publish_outcome, publish_refusal, publish_result
from processor.shard.store import UnitOfWork

negative_cache_first_ms: Final = 600_000  # how long a `not_found`, or a gap, is remembered; it doubles each time
negative_cache_at_most_ms: Final = 24 * 3_600_000


def apply_decision(turn: UnitOfWork, lead: Lead) -> None:
    """Bring the lead's open work as far as what is known allows."""
    work = lead.work
    if work is None:
        return
    while isinstance(decision := decide(turn, lead, work), Link):
        link(lead, work, decision.contact)
    match decision:
        case Ask(question):
            ask(turn, lead, work, question)
        case Wait(at, meanwhile):
            wait(turn, lead, work, at, meanwhile)
        case Done():
            finish(turn, lead, work, decision)


def apply_overdue(turn: UnitOfWork, overdue: OverdueSync) -> None:
    """Answer a Sync that was not done by its deadline, or came too late; the lead's other work goes on."""
    lead, work = overdue.lead, overdue.lead.work
    done = decide_late(turn, overdue.request) if overdue.on_arrival else decide_overdue(turn, lead)
    publish_result(turn, lead, conclude(lead, done), requests=[overdue.request])
    if work is None or overdue.on_arrival:
        return
    work.waiters.requests -= 1
    if not work.waiters.requests:
        jobs = (job.lane for job in waiting_jobs(turn, lead))
        work.lane = Lane.CHANGE if work.waiters.causes else min(jobs, default=Lane.CHANGE)
        if work.question and work.question.kind is QuestionKind.MESSAGES:
            work.listing = None  # pages that went by meanwhile weren't for it
        lead.work = work if work.waiters.any() else None


def apply_unserved(turn: UnitOfWork, unserved: Unserved) -> None:
    """Answer a request that was dead-lettered."""
    publish_refusal(turn, unserved.malformed, decide_malformed(unserved.malformed))


def ask(turn: UnitOfWork, lead: Lead, work: LeadWork, question: Question) -> None:
    """Let the question wait for a call."""
    match question.kind:
        case QuestionKind.MESSAGES:
            ask_messages(turn, lead, work, question)
        case QuestionKind.CONTACT:
            work.hydrating()
            if work.lane >= Lane.JOB:
                work.due = max(work.due, turn.now)  # after all searches: leads that share a contact share its GET
        case QuestionKind.ID:
            work.hydrating()
    work.question = question
    turn.locations_to_schedule[lead.location] = None


def ask_messages(turn: UnitOfWork, lead: Lead, work: LeadWork, question: Question) -> None:
    """All is known of the contact; now its SMS. A job's export serves the lead, unless too many share the contact."""
    work.reading()
    if work.question == question:
        return
    work.question = question
    others = [name for name in turn.waiting_for(lead.location, question, leads_per_value + 1) if name != lead.id]
    job = active_job(turn, lead.location)
    missed_pages = job is not None and job.stage is JobStage.EXPORTING
    work.listing = None if missed_pages or len(others) >= leads_per_value else ListingMatch()
    turn.reindex(lead)  # the next lead of the same contact has to see it


def wait(turn: UnitOfWork, lead: Lead, work: LeadWork, at: int, meanwhile: Done | None) -> None:
    """Look again later; those who can't wait are answered."""
    work.due = at
    if meanwhile is None:
        return
    conclusion = conclude(lead, meanwhile)
    publish_outcome(turn, lead, work, conclusion, final=False)
    count_outcome(turn, lead, work, conclusion)
    work.question, work.lane = lead.lookup(), Lane.CHANGE
    turn.locations_to_schedule[lead.location] = None


def finish(turn: UnitOfWork, lead: Lead, work: LeadWork, done: Done) -> None:
    """Publish what came of the work to all who waited, if it is worth a result; then close it."""
    if done.messages_unavailable:
        work.reading().outcome = MessagesOutcome.FAILED
    if work.asked and not done.failed:
        cache_gaps(lead, turn.now)
    conclusion = conclude(lead, done)
    publish_outcome(turn, lead, work, conclusion, final=True)
    count_outcome(turn, lead, work, conclusion)
    lead.work = None
    if lead.deleted is not None:
        lead.forget()


def link(lead: Lead, work: LeadWork, contact: Contact) -> None:
    """Link the lead to the contact, and fill its gaps from it."""
    by_phone = work.question is not None and work.question.kind is QuestionKind.PHONE
    lead.resolved_by = "phone" if by_phone else "scan" if contact.origin == "scan" else "search"
    if lead.is_gone(contact.id):
        lead.gone = None  # it is back
    if lead.snapshot.get("contact_id") != contact.id:
        lead.filled["contact_id"] = contact.id
    lead.fill(work, contact)


def cache_gaps(lead: Lead, now: int) -> None:
    """Cache that HighLevel doesn't know the gaps: they aren't asked again for a while, twice as long each time."""
    if lead.contact_id is not None and not lead.gaps():
        lead.negative_cache = None
        return
    cache = lead.negative_cache
    wait_ms = min(cache.wait * 2, negative_cache_at_most_ms) if cache else negative_cache_first_ms
    lead.negative_cache = NegativeCache(now + wait_ms, wait_ms, [name for name in facts if lead.known(name) is None])
