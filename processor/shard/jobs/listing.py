"""One paged listing for contacts and messages: a page is ingested in slices, then the next one is asked for.

A response to an older page is not applied.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from processor.highlevel.contact import Contact
from processor.highlevel.message import SmsMessage
from processor.highlevel.requests import CallRequest, ExportMessages, ListContacts
from processor.highlevel.responses import Exported, Page, Refused, Response, Unauthorized
from processor.ratelimit.jitter import jittered
from processor.shard.documents.job import Job
from processor.shard.jobs import export, scan
from processor.shard.jobs.location import end_job
from processor.shard.jobs.machine import JobStage
from processor.shard.store import UnitOfWork

retry_page_first_ms: Final = 1_000
retry_page_at_most_ms: Final = 60_000


def next_page_request(job: Job) -> CallRequest:
    """Return the request for the job's next page."""
    return scan.next_contact_page(job) if job.stage is JobStage.SCANNING else export.next_message_page(job)


def ingest_page(turn: UnitOfWork, response: Response, counted: bool = True) -> None:
    """Ingest a page, a slice of it, or what became of it. `counted`: a failure is an attempt."""
    request, outcome = response.call.request, response.outcome
    assert isinstance(request, ListContacts | ExportMessages)
    job = Job.find(turn, request.location, request.job or "")
    rest = None
    if job and not job.ended and job.wants_page and job.listing.page == request.page:
        if isinstance(outcome, Page | Exported):
            rest = ingest_slice(turn, job, response, outcome)
        else:
            page_failed(turn, job, response, counted)
    if rest is None:
        turn.call_finished(request.location, response.call.permit.slot)  # only now may the next page be asked for
    else:
        turn.rest_of_pages.append(rest)


def ingest_slice(turn: UnitOfWork, job: Job, response: Response, page: Page | Exported) -> Response | None:
    """Match what a turn can take of the page with the job's leads. Returns what is left of it for the next turn."""
    items: Sequence[Contact] | Sequence[SmsMessage]
    if isinstance(page, Page):
        if not scan.plan_by_first_contacts(turn, job, page):
            return None
        items, ingested = page.contacts, scan.match_contacts(turn, job, page.contacts, response.ingested)
    else:
        if not export.plan_by_first_messages(turn, job, page):
            return None
        items, ingested = page.messages, export.match_messages(turn, job, page.messages, response.ingested)
    if ingested < len(items):
        return replace(response, ingested=ingested)
    if isinstance(page, Page):
        scan.turn_contact_page(turn, job, page)
    else:
        export.turn_message_page(turn, job, page)
    return None


def page_failed(turn: UnitOfWork, job: Job, response: Response, counted: bool) -> None:
    """Ask for the page again, later. A job fails only when HighLevel itself refuses a page of contacts."""
    outcome, request = response.outcome, response.call.request
    if isinstance(request, ExportMessages) and isinstance(outcome, Refused | Unauthorized):
        export.page_refused(turn, job, request, for_good=isinstance(outcome, Unauthorized))
    elif isinstance(outcome, Refused):
        reason = "internal_error" if outcome.why == "internal_error" else "refused"
        end_job(turn, job, "sync.failed", reason)
    elif counted:
        job.listing.attempts += 1
        delay = min(retry_page_first_ms << min(job.listing.attempts - 1, 16), retry_page_at_most_ms)
        job.due = turn.now + jittered(delay, job.key, response.call.permit.slot)
