"""Scan: pages of all contacts, matched with the leads that a job looks for (DESIGN §7).

Matches go into lead documents, and are decided when the scan ends. Contacts that change meanwhile show in a catch-up
pass: a lead that such a contact concerns is left to a probe, unless the contact is the lead's first hit.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from processor.highlevel.contact import Contact, e164
from processor.highlevel.requests import ListContacts, Question, QuestionKind
from processor.highlevel.responses import Page
from processor.shard.documents.job import Job
from processor.shard.documents.lead import Lead, leads_per_value
from processor.shard.documents.work import LeadWork
from processor.shard.jobs.machine import JobStage, Step
from processor.shard.jobs.planning import choose_plan
from processor.shard.match import BestMatch, add_hit, primary
from processor.shard.store import UnitOfWork

contacts_at_once: Final = 170  # of a page, in a turn: an interactive lead waits for it
matches_at_once: Final = 400  # leads, in a turn
lag_ms: Final = 120_000  # contract.md §4.1: search lags behind by no more


def next_contact_page(job: Job) -> ListContacts:
    since = job.scan.started - lag_ms if job.scan.catching_up else None
    after = job.listing.after
    assert not isinstance(after, str)
    return ListContacts(job.location, job.id, job.listing.page, after, since)


def plan_by_first_contacts(turn: UnitOfWork, job: Job, page: Page) -> bool:
    """Choose the plan by the number of contacts on the first page. Return True if the scan goes on."""
    if job.plan is None:
        choose_plan(turn, job, page.contacts, page.total)
    return job.stage is JobStage.SCANNING


def turn_contact_page(turn: UnitOfWork, job: Job, page: Page) -> None:
    if page.full and page.after in (None, job.listing.after):  # HighLevel doesn't say what follows: we'd skip, or loop
        job.plan = "probe"
        job.advance(Step.PROBE, turn.now)
    elif page.full:
        job.listing.next_page(page.after)
    elif not job.scan.catching_up:
        job.scan.catching_up = True
        job.listing.next_page(None)
    else:
        job.advance(Step.SCANNED, turn.now)


def match_contacts(turn: UnitOfWork, job: Job, contacts: Sequence[Contact], start: int) -> int:
    """Put contacts into the leads that they are hits of, from `start` on. Returns how far it came."""
    touches = 0
    for place in range(start, len(contacts)):
        if touches >= matches_at_once or place >= start + contacts_at_once:
            return place
        contact = contacts[place]
        if job.scan.catching_up:
            touches += distrust(turn, job, contact)
        for question in questions_answered(job, contact):
            for name in turn.waiting_for(job.location, question, leads_per_value + 1):
                lead = Lead.of(turn, job.location, name)
                if lead.work and lead.work.listing:
                    match_lead(turn, job, lead, lead.work, contact, question)
                    touches += 1
    return len(contacts)


def questions_answered(job: Job, contact: Contact) -> Iterator[Question]:
    """Yield the questions of the job's leads that this contact may answer."""
    asked = job.questions
    if asked.get("id"):
        yield Question(QuestionKind.ID, contact.id)
    if asked.get("email"):
        emails = dict.fromkeys((contact.email, *contact.other_emails))
        yield from (Question(QuestionKind.EMAIL, email) for email in emails if email)
    if asked.get("phone"):
        phones = dict.fromkeys(e164(phone) for phone in (contact.phone, *contact.other_phones) if phone)
        yield from (Question(QuestionKind.PHONE, phone) for phone in phones if phone)


def scan_match(job: Job, work: LeadWork) -> BestMatch | None:
    """Return what this scan has found for a lead; an earlier scan's match may be none any more."""
    listing = work.listing
    return listing.match if listing and listing.scan == job.scan.number else None


def match_lead(turn: UnitOfWork, job: Job, lead: Lead, work: LeadWork, contact: Contact, question: Question) -> None:
    listing = work.listing
    assert listing is not None
    if question.kind is QuestionKind.ID:
        listing.match, listing.scan = BestMatch(contact, primary), job.scan.number
        return
    if lead.gone and lead.gone.contact_id == contact.id and turn.now < lead.gone.until:
        return
    before = scan_match(job, work)
    if before is None or before.contact is None or not job.scan.catching_up:
        listing.scan = job.scan.number
        listing.match = add_hit(before or BestMatch(), contact, question, lead.known("phone"))
    elif before.contact.id != contact.id:
        work.listing = None  # it may have been added as it was before


def distrust(turn: UnitOfWork, job: Job, contact: Contact) -> int:
    """A contact was changed: the leads that it was a hit of, as it was before, are left to a probe."""
    concerned = turn.matched_by(job.location, contact.id, matches_at_once)
    for name in concerned:
        work = Lead.of(turn, job.location, name).work
        match = scan_match(job, work) if work else None
        if work and work.listing and match and match.contact and match.contact.updated != contact.updated:
            if match.several:
                work.listing = None
            else:
                work.listing.match = None  # it may be a hit again, as it is now
    return len(concerned)
