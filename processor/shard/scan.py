"""Scan: pages of all contacts, joined with the leads that a job looks for (DESIGN §7).

Hits go into lead documents, and are decided when the scan ends. What happens to contacts meanwhile shows in a last pass
over those that were changed: a lead that such a one concerns is left to a probe, unless it is the lead's first hit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from processor.highlevel.contact import Contact, e164
from processor.highlevel.requests import ListContacts, page_limit
from processor.highlevel.responses import Page, Response
from processor.shard.hydrate import get_only
from processor.shard.job import Job, refused_at_most, tallies
from processor.shard.lead import Lead, Open, leads_per_value
from processor.shard.progress import say
from processor.shard.resolve import Evidence, fold, primary
from processor.shard.setup import Setup
from processor.shard.state import Changes

contacts_at_once: Final = 170  # of a page, in a turn: an interactive lead waits for it
touches_at_once: Final = 400  # leads, in a turn
lag_ms: Final = 120_000  # contract.md §4.1: so much may search lag behind, at the very most


def page(job: Job) -> ListContacts:
    """What the next page's call asks for."""
    since = job.scan_from - lag_ms if job.last_pass else None
    return ListContacts(job.location, job.id, job.page, job.after, since)


def hear_page(
    changes: Changes, setup: Setup, asked: ListContacts, answer: Response, found: Page, now: int
) -> Response | None:
    """A page, or a slice of it. Returns what is left of it for the next turn. An old one is not applied."""
    job = Job.of(changes, asked.location, asked.job)
    if job is None or job.ended or not job.wants_page or job.page != asked.page:
        return None
    if job.plan is None:
        choose(changes, setup, job, found.contacts, found.total, now)
    if job.stage != "scanning":
        return None
    heard = join(changes, job, found.contacts, answer.ingested, now)
    if heard < len(found.contacts):
        return replace(answer, ingested=heard)
    turn_page(changes, setup, job, found, now)
    return None


def turn_page(changes: Changes, setup: Setup, job: Job, found: Page, now: int) -> None:
    if found.full and found.after in (None, job.after):  # HighLevel doesn't say what follows: we would skip, or loop
        job.plan = "probe"
        job.to("asking", now)
    elif found.full:
        job.next_page(found.after)
    elif not job.last_pass:
        job.last_pass = True
        job.next_page(None)
    else:
        job.to("deciding", now)


def choose(changes: Changes, setup: Setup, job: Job, first: Sequence[Contact], total: int, now: int) -> None:
    """The cheaper of scan and probe. `first`: the first page's contacts, none when it wasn't asked for."""
    searches = min(job.searches, job.tally.leads - job.tally.leads_done)
    probes = -(-searches // (1 if job.ors_refused else setup.probe_size))
    pages = -(-total // page_limit) + 1  # and the last pass
    looked = 1 if job.wants_page else 0  # for the first page
    job.plan = "scan" if job.wants_page and pages <= looked + probes else "probe"
    left = (pages - looked if job.plan == "scan" else probes) + gets(job, first)
    more = job.tally.spent + left - job.tally.planned
    for tally in tallies(changes, job):
        tally.planned += more
    if job.plan == "probe" or job.dry:
        job.to("asking", now)
    if not job.told.started:
        say(changes, setup, job, "sync.started", now)


def answered(job: Job, refused: bool, now: int) -> None:
    """A search for several values was answered, or refused. Where HighLevel takes none such, the plan is made anew."""
    what = "refused" if refused else "answered"
    job.ors[what] = job.ors.get(what, 0) + 1
    if (
        refused
        and job.ors[what] == refused_at_most
        and job.ors_refused
        and job.plan == "probe"
        and job.stage == "asking"
    ):
        job.plan = None
        job.scan_anew(now)


def gets(job: Job, first: Sequence[Contact]) -> int:
    """Leads whose contact must be fetched, as far as can be told: for fields that no hit of the first page gives."""
    given = {name for contact in first for name in contact.fields} if first else set(job.gaps) - get_only
    return job.asks.get("get", 0) + max((count for name, count in job.gaps.items() if name not in given), default=0)


def join(changes: Changes, job: Job, contacts: Sequence[Contact], start: int, now: int) -> int:
    """Put these contacts into the leads that they are hits of, from `start` on. Returns how far it came."""
    touches = 0
    for place in range(start, len(contacts)):
        if touches >= touches_at_once or place >= start + contacts_at_once:
            return place
        contact = contacts[place]
        if job.last_pass:
            touches += distrust(changes, job, contact)
        for by, value in names(job, contact):
            for name in changes.sought(job.location, by, value, leads_per_value + 1):
                lead = Lead.of(changes, job.location, name)
                if lead.open and lead.open.covered:
                    hit(job, lead, lead.open, contact, by, value, now)
                    touches += 1
    return len(contacts)


def names(job: Job, contact: Contact) -> Iterator[tuple[str, str]]:
    """What leads are looked for by, and this contact has."""
    if job.asks.get("id"):
        yield "id", contact.id
    if job.asks.get("email"):
        yield from (("email", email) for email in dict.fromkeys((contact.email, *contact.other_emails)) if email)
    if job.asks.get("phone"):
        phones = (e164(phone) for phone in (contact.phone, *contact.other_phones) if phone)
        yield from (("phone", phone) for phone in dict.fromkeys(phones) if phone)


def found_by(job: Job, work: Open) -> Evidence | None:
    """What this scan has found for a lead; an earlier one's hits may be none any more."""
    return work.hits if work.scan == job.scans else None


def hit(job: Job, lead: Lead, work: Open, contact: Contact, by: str, value: str, now: int) -> None:
    if by == "id":
        work.hits, work.scan = Evidence(contact, primary), job.scans
        return
    if lead.dead and lead.dead.contact_id == contact.id and now < lead.dead.until:
        return
    before = found_by(job, work)
    if before is None or before.best is None or not job.last_pass:
        work.scan = job.scans
        work.hits = fold(before or Evidence(), contact, by, value, lead.known("phone"))
    elif before.best.id != contact.id:
        work.uncover()  # it may have been folded in as it was before


def distrust(changes: Changes, job: Job, contact: Contact) -> int:
    """A contact that was changed: the leads that it was a hit of, as it was before, are left to a probe."""
    concerned = changes.hit_by(job.location, contact.id, touches_at_once)
    for name in concerned:
        work = Lead.of(changes, job.location, name).open
        hits = found_by(job, work) if work else None
        if work and hits and hits.best and hits.best.updated != contact.updated:
            if hits.several:
                work.uncover()
            else:
                work.hits = None  # it may be one again, as it is now
    return len(concerned)
