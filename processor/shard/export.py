"""A job's messages: one export of the whole location, joined by contact id, where that is cheaper than one a contact
(DESIGN §7.6). A cursor lives two minutes (contract.md §5.1): an expired one is begun anew from the last message heard.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from processor.highlevel.message import Message
from processor.highlevel.requests import ExportMessages, page_limit
from processor.highlevel.responses import Exported, Response
from processor.shard.job import Job, tallies
from processor.shard.lead import Lead, leads_per_value, messages_lane
from processor.shard.messages import overlap_ms, take_in
from processor.shard.scan import touches_at_once
from processor.shard.state import Changes

contacts_without_looking: Final = 2  # no export of a location costs less
begun_anew_at_most: Final = 8  # times that a cursor is refused


def page(job: Job) -> ExportMessages:
    """What the next page's call asks for."""
    if job.cursor is None:
        job.export_from = max(0, job.message_at - overlap_ms) if job.message_at else None
    return ExportMessages(job.location, None, job.export_from, job.cursor, job.id, job.page)


def begin(changes: Changes, job: Job, first: Collection[int], now: int) -> bool:
    """Once nothing but messages is missing of the job's own questions (`first`: lanes with one): few contacts are asked
    for one by one, else the first page tells how many messages there are."""
    if job.stage != "asking" or job.lane in first or job.lane + messages_lane not in first:
        return False
    if changes.flying(job.location, job.lane):
        return False
    job.readers = changes.count(job.location, job.lane + messages_lane)
    if job.readers <= contacts_without_looking:
        one_by_one(changes, job, now)
    else:
        job.next_page(None)
        job.to("exporting", now)
    changes.refresh(job)
    return True


def one_by_one(changes: Changes, job: Job, now: int) -> None:
    plan_calls(changes, job, job.readers)
    job.to("messaging", now)


def plan_calls(changes: Changes, job: Job, calls: int) -> None:
    more = max(0, job.tally.spent + calls - job.tally.planned)
    for tally in tallies(changes, job):
        tally.planned += more


def hear_export(
    changes: Changes, asked: ExportMessages, answer: Response, found: Exported, now: int
) -> Response | None:
    """A page of messages, or a slice of it. Returns what is left of it for the next turn. An old one is not applied."""
    job = waiting_for(changes, asked)
    if job is None:
        return None
    if job.reads is None:
        pages = -(-found.total // page_limit)
        job.reads = "location" if pages - 1 < job.readers else "contacts"
        if job.reads == "contacts":
            one_by_one(changes, job, now)
            return None
        plan_calls(changes, job, pages - 1)
    heard = join(changes, job, found.messages, answer.ingested, now)
    if heard < len(found.messages):
        return replace(answer, ingested=heard)
    if found.messages:
        job.anew = 0 if found.messages[-1].sent > job.message_at else job.anew
        job.message_at = max(job.message_at, found.messages[-1].sent)
    if found.cursor is None or found.cursor == job.cursor:
        job.to("closing", now)
    else:
        job.next_page(None)
        job.cursor = found.cursor
    return None


def refused(changes: Changes, asked: ExportMessages, now: int, scope: bool = False) -> None:
    """A cursor has expired; or no messages are to be had, which the contacts' outcomes don't mind."""
    job = waiting_for(changes, asked)
    if job is None:
        return
    job.anew += 1
    if asked.cursor is None or scope or job.anew > begun_anew_at_most:
        job.messages_failed = True
        job.to("closing", now)
    else:
        job.next_page(None)


def waiting_for(changes: Changes, asked: ExportMessages) -> Job | None:
    job = Job.of(changes, asked.location, asked.job or "")
    return job if job and not job.ended and job.stage == "exporting" and job.page == asked.page else None


def join(changes: Changes, job: Job, messages: Sequence[Message], start: int, now: int) -> int:
    """Give these messages to the leads whose contact's they are, contact by contact, from `start` on. Returns how far it
    came."""
    end = start
    of_contact: dict[str, list[Message]] = {}
    while end < len(messages) and end - start < touches_at_once // 2:
        of_contact.setdefault(messages[end].contact, []).append(messages[end])
        end += 1
    for contact, said in of_contact.items():
        for name in changes.sought(job.location, "export", contact, leads_per_value + 1):
            lead = Lead.of(changes, job.location, name)
            if lead.open and lead.open.covered:
                take_in(changes, lead, lead.open, contact, said, now)
    return end


def close(changes: Changes, job: Job, now: int, limit: int) -> Sequence[Lead]:
    """The export is over: each lead that it covered has its messages, or there are none."""
    lane = job.lane + messages_lane
    found = changes.askers(job.location, job.walked, limit, lane)
    closed = []
    for name in found:
        lead = Lead.of(changes, job.location, name)
        if lead.open and lead.open.covered and lead.open.lane == job.lane:
            lead.open.messages = "failed" if job.messages_failed else "imported" if lead.open.imported else "none"
            lead.open.uncover()
            closed.append(lead)
        elif lead.open and job.messages_failed:
            lead.open.messages = "failed"
            closed.append(lead)
    if job.walk(found, limit):
        job.to("messaging", now)
    return closed
