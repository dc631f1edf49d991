"""The one decision about a lead: publish, ask or wait. `decide` looks, `settle` acts."""

from dataclasses import dataclass
from typing import Final

from processor.highlevel.contact import Contact, value_limit
from processor.ratelimit.budget import Lane
from processor.shard.hydrate import hydrate, search_is_idle, worth_a_get
from processor.shard.job import active, served, tallies
from processor.shard.lead import Lead, Memory, Open, Question, Seen, facts, leads_per_value
from processor.shard.location import Location
from processor.shard.request import Request
from processor.shard.resolve import Ambiguous, Linked, resolve
from processor.shard.result import publish, said
from processor.shard.setup import Setup
from processor.shard.state import Changes

young_ms: Final = 120_000  # contract.md §4.1: search lags behind; a fresh lead's contact may only not be indexed yet
look_again_ms: Final = (15_000, 60_000)  # after the first look
remember_ms: Final = 600_000  # what HighLevel didn't know; doubles each time
remember_at_most_ms: Final = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Ask:
    """HighLevel must be asked this."""

    question: Question


@dataclass(frozen=True, slots=True)
class Link:
    """The search found the lead's contact; then look again."""

    contact: Contact


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing found, but the lead is so young that search may not know the contact yet."""

    at: int


@dataclass(frozen=True, slots=True)
class Done:
    """No call would tell more. `outcome` None: by what was learned."""

    outcome: str | None = None
    reason: str | None = None


Decision = Ask | Link | LookAgain | Done


def settle(changes: Changes, setup: Setup, lead: Lead, now: int) -> None:
    """Bring the lead's open work as far as what is known allows."""
    if lead.open is None or lead.revision is None:
        return
    while isinstance(decision := decide(lead, lead.open, setup.fetch_fields, now), Link):
        link(lead, lead.open, decision.contact)
    match decision:
        case Ask(question):
            if question.by == "get" and lead.open.lane >= Lane.JOB:
                lead.open.due = max(lead.open.due, now)  # after all searches: leads that share a contact share its GET
            lead.open.question = question
            changes.busy[lead.location] = None
        case LookAgain(at):
            told = answer(changes, lead, "not_found", "may_lag", now)
            answer_jobs(changes, lead, "not_found", "may_lag", now, told)
            lead.open.question, lead.open.due, lead.open.lane = lead.lookup(), at, Lane.CHANGE
            changes.busy[lead.location] = None
        case Done(None, _) if lead.contact_id and lead.open.wants_messages and lead.open.messages is None:
            ask_messages(changes, lead, lead.open, lead.contact_id, now)
        case Done(outcome, reason):
            finish(changes, lead, outcome, reason, now)


def ask_messages(changes: Changes, lead: Lead, work: Open, contact: str, now: int) -> None:
    """All is known of the contact; now what was said by SMS."""
    location = Location.of(changes, lead.location)
    if not location.serves_messages(now, asked=work.asked > 0):
        work.messages = "failed"  # the token's scope lacks them; what came of the contact stands
        finish(changes, lead, None, None, now)
        return
    question = Question("export", contact)
    if work.question != question:
        work.question = question
        others = [name for name in changes.sought(lead.location, *question, leads_per_value + 1) if name != lead.id]
        reading = active(changes, lead.location)
        whole = reading is None or reading.stage != "exporting"  # else it hasn't had the pages before
        work.covered = whole and len(others) < leads_per_value
        changes.refresh(lead)  # the next lead of the same contact has to see it
    changes.busy[lead.location] = None


def decide(lead: Lead, work: Open, fetch_fields: frozenset[str], now: int) -> Decision:
    linked = lead.contact_id
    return about_gaps(lead, work, linked, fetch_fields, now) if linked else about_contact(lead, work, now)


def about_contact(lead: Lead, work: Open, now: int) -> Decision:
    """Which contact is it? (DESIGN §7, points 2 to 4)"""
    question = lead.lookup()
    if question is None:
        return Done("not_found", "no_identity")
    if work.evidence is None:
        return Done("not_found") if remembered(lead, work, now) else Ask(question)
    match resolve(work.evidence):
        case Linked(contact):
            return Link(contact)
        case Ambiguous():
            return Done("ambiguous", "different_phones")
    young = now - lead.created < young_ms and (work.causes or work.asked)  # a job's lead was known before
    if not work.first_look and young:
        work.first_look = now
    if work.first_look and (later := [work.first_look + ms for ms in look_again_ms if work.first_look + ms > now]):
        return LookAgain(later[0])
    return Done("not_found", "no_contact")


def about_gaps(lead: Lead, work: Open, linked: str, fetch_fields: frozenset[str], now: int) -> Decision:
    """Can its contact fill what is missing? (DESIGN §7.5)"""
    gaps = lead.gaps()
    seen = work.payload if work.payload and work.payload.contact_id == linked else None
    if not gaps or (seen and seen.origin == "contact"):
        return Done()
    if seen is None:
        if remembered(lead, work, now):
            return Done()
        if work.searched != linked and len(linked) <= value_limit and not search_is_idle(gaps):
            return Ask(Question("id", linked))
    elif lead.fetched and seen.updated and (lead.fetched.contact_id, lead.fetched.updated) == (linked, seen.updated):
        return Done()
    return Ask(Question("get", linked)) if worth_a_get(gaps, fetch_fields, any_gap=work.asked > 0) else Done()


def remembered(lead: Lead, work: Open, now: int) -> bool:
    """HighLevel was asked lately and knew no more; only a Sync or a job asks all the same."""
    memory = lead.memory
    return (
        not (work.asked or work.jobs) and memory is not None and now < memory.until and {*lead.gaps()} <= {*memory.gaps}
    )


def link(lead: Lead, work: Open, contact: Contact) -> None:
    """The contact is the lead's; what it tells, too."""
    question = work.question
    by_phone = question is not None and question.by == "phone"
    lead.resolved_by = "phone" if by_phone else "scan" if contact.origin == "scan" else "search"
    if lead.is_dead(contact.id):
        lead.dead = None  # it is back
    if lead.snapshot.get("contact_id") != contact.id:
        lead.learned["contact_id"] = contact.id
    learn(lead, work, contact)


def learn(lead: Lead, work: Open, contact: Contact) -> None:
    """Take from a payload of the lead's contact what the lead lacks."""
    filled = hydrate(lead, contact)
    lead.learned |= filled
    if filled:
        lead.hydrated_from = contact.origin
    work.payload = Seen(contact.id, contact.updated, contact.origin)
    if contact.origin == "contact":
        lead.fetched = work.payload


def finish(changes: Changes, lead: Lead, outcome: str | None, reason: str | None, now: int) -> None:
    """Say what came of it, to all who asked, if there is anything to say; then the work is closed."""
    work = lead.open
    if work is None:
        return
    if work.looked and outcome != "failed":
        remember(lead, now, found_all=not lead.gaps() and lead.contact_id is not None)
    if outcome == "not_found" and lead.dead and lead.snapshot.get("contact_id") == lead.dead.contact_id:
        reason = "contact_gone"
    told = answer(changes, lead, outcome, reason, now)
    found = outcome is None and bool(lead.learned)
    if (found and not told) or (work.causes and (work.looked or outcome == "failed")):
        jobs = served(changes, lead) if not told and (found or outcome) else ()
        publish(changes, lead, outcome, reason, now, causes=work.causes, jobs=jobs)
        told = True
    answer_jobs(changes, lead, outcome, reason, now, told)
    lead.open = None


def answer(changes: Changes, lead: Lead, outcome: str | None, reason: str | None, now: int) -> bool:
    """Answer the lead's open requests, 500 in a result; the first one speaks for jobs and other causes as well. Whether
    there were any."""
    work, told = lead.open, False
    while work and work.asked and (requests := Request.waiting(changes, lead.location, lead.id, limit=500)):
        spoken_for = work.causes if reason != "may_lag" else []
        jobs = () if told else served(changes, lead)
        publish(changes, lead, outcome, reason, now, requests=requests, causes=spoken_for, jobs=jobs)
        work.causes = [] if spoken_for else work.causes
        told = True
    if work:
        work.asked = 0
    return told


def answer_jobs(changes: Changes, lead: Lead, outcome: str | None, reason: str | None, now: int, told: bool) -> None:
    """The lead has its outcome in the jobs that wait for it; there is a result only where there is something to say."""
    work, jobs = lead.open, served(changes, lead)
    if work is None or not jobs:
        return
    found, learned, _, _ = said(lead, outcome, reason)
    if found != "unchanged" and not told:
        publish(changes, lead, outcome, reason, now, jobs=jobs)
    filled = [name for name, value in learned.items() if value is not None]
    for one in jobs:
        for tally in tallies(changes, one):
            tally.count(found, filled, work.looked_up, work.imported)
    work.jobs = []
    work.give_back()


def remember(lead: Lead, now: int, found_all: bool) -> None:
    """What HighLevel doesn't know is not asked again for a while, twice as long each time."""
    if found_all:
        lead.memory = None
        return
    pause = min(lead.memory.pause * 2, remember_at_most_ms) if lead.memory else remember_ms
    lead.memory = Memory(now + pause, pause, [name for name in facts if lead.known(name) is None])
