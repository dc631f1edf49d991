"""A job's messages: one export of the whole location, matched by contact id, where that is cheaper than one a contact.

DESIGN §7.6. A cursor lives two minutes (contract.md §5.1): an expired one begins anew from the last message ingested.
"""

from collections.abc import Sequence
from typing import Final

from processor.highlevel.message import SmsMessage
from processor.highlevel.requests import ExportMessages, Question, QuestionKind, page_limit
from processor.highlevel.responses import Exported
from processor.shard.documents.checkpoint import overlap_ms
from processor.shard.documents.job import Job
from processor.shard.documents.lead import Lead, leads_per_value
from processor.shard.indexes import message_queues
from processor.shard.jobs.counting import plan_calls
from processor.shard.jobs.machine import Step
from processor.shard.messages import import_messages
from processor.shard.store import UnitOfWork

contacts_without_looking: Final = 2  # no export of a location costs less
restarts_at_most: Final = 8  # times that a cursor is refused
messages_at_once: Final = 200  # in a turn


def next_message_page(job: Job) -> ExportMessages:
    export, cursor = job.export, job.listing.after
    if cursor is None:
        export.export_from = max(0, export.newest - overlap_ms) if export.newest else None
    assert not isinstance(cursor, tuple)
    return ExportMessages(job.location, None, export.export_from, cursor, job.id, job.listing.page)


def begin_export(turn: UnitOfWork, job: Job) -> None:
    """Begin the messages, when nothing else is missing.

    A few contacts are exported one by one. For more the first page of the whole location's export counts the messages.
    """
    job.export.contacts = turn.count_queue(job.location, message_queues[job.lane])
    if job.export.contacts <= contacts_without_looking:
        export_each(turn, job)
    else:
        job.listing.next_page(None)
        job.advance(Step.EXPORT, turn.now)


def export_each(turn: UnitOfWork, job: Job) -> None:
    plan_calls(turn, job, job.export.contacts, lower=False)
    job.advance(Step.EXPORT_EACH, turn.now)


def plan_by_first_messages(turn: UnitOfWork, job: Job, page: Exported) -> bool:
    """Choose the plan by the number of messages on the first page. Return True if the export goes on."""
    if job.export.whole is None:
        pages = -(-page.total // page_limit)
        job.export.whole = pages - 1 < job.export.contacts
        if not job.export.whole:
            export_each(turn, job)
            return False
        plan_calls(turn, job, pages - 1, lower=False)
    return True


def turn_message_page(turn: UnitOfWork, job: Job, page: Exported) -> None:
    export = job.export
    if page.messages:
        newest = page.messages[-1].sent
        export.restarts = 0 if newest > export.newest else export.restarts
        export.newest = max(export.newest, newest)
    if page.cursor is None or page.cursor == job.listing.after:
        job.advance(Step.EXPORTED, turn.now)
    else:
        job.listing.next_page(page.cursor)


def page_refused(turn: UnitOfWork, job: Job, request: ExportMessages, for_good: bool) -> None:
    """A cursor has expired; or no messages are to be had, which the contacts' outcomes don't mind."""
    job.export.restarts += 1
    if request.cursor is None or for_good or job.export.restarts > restarts_at_most:
        job.export.failed = True
        job.advance(Step.EXPORTED, turn.now)
    else:
        job.listing.next_page(None)


def match_messages(turn: UnitOfWork, job: Job, messages: Sequence[SmsMessage], start: int) -> int:
    """Import messages into the leads of their contacts, contact by contact, from `start` on. Return how far it came."""
    end = min(len(messages), start + messages_at_once)
    of_contact: dict[str, list[SmsMessage]] = {}
    for message in messages[start:end]:
        of_contact.setdefault(message.contact, []).append(message)
    for contact, shown in of_contact.items():
        question = Question(QuestionKind.MESSAGES, contact)
        for name in turn.waiting_for(job.location, question, leads_per_value + 1):
            lead = Lead.of(turn, job.location, name)
            if lead.work and lead.work.listing:
                import_messages(turn, lead, lead.work, contact, shown)
    return end
