"""Breakages of jobs: Sync Alls and backfills."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from processor.highlevel.message import SmsMessage
from processor.highlevel.responses import Exported, Page, Response
from processor.ratelimit.budget import Lane
from processor.shard import ingest
from processor.shard.documents.job import Job, JobCounters, Listing
from processor.shard.documents.work import LeadWork
from processor.shard.jobs import counting, export, listing, location, scan, walks
from processor.shard.store import UnitOfWork

Patch = pytest.MonkeyPatch


def pages_turned_before_they_are_ingested(patch: Patch) -> None:
    """The rest of a page that a turn doesn't take is never ingested."""
    ingest_slice = listing.ingest_slice

    def hasty(turn: UnitOfWork, job: Job, response: Response, page: Page | Exported) -> None:
        if ingest_slice(turn, job, response, page) is not None:
            assert isinstance(page, Page)
            scan.turn_contact_page(turn, job, page)

    patch.setattr(listing, "ingest_slice", hasty)


def slice_taken_for_the_page(patch: Patch) -> None:
    """The rest of a page of messages that a turn doesn't take is never ingested."""
    match_messages = export.match_messages

    def hasty(turn: UnitOfWork, job: Job, messages: Sequence[SmsMessage], start: int) -> int:
        match_messages(turn, job, messages, start)
        return len(messages)

    patch.setattr(export, "match_messages", hasty)


def cursor_forgotten(patch: Patch) -> None:
    """The place that a listing has come to isn't kept."""
    next_page = Listing.next_page
    patch.setattr(Listing, "next_page", lambda self, after: next_page(self, None))


def decided_before_the_catch_up(patch: Patch) -> None:
    """Changes of contacts during a scan are overlooked."""
    turn_page = scan.turn_contact_page

    def hasty(turn: UnitOfWork, job: Job, page: Page) -> None:
        job.scan.catching_up = job.scan.catching_up or not page.full
        turn_page(turn, job, page)

    patch.setattr(scan, "turn_contact_page", hasty)


def counted_outside_of_state(patch: Patch) -> None:
    """The counts of a turn that was never committed stay."""
    kept: dict[str, JobCounters] = {}
    counters_of = counting.counters_of

    def remembered(turn: UnitOfWork, job: Job) -> Sequence[JobCounters]:
        found = counters_of(turn, job)
        former = kept.setdefault(f"{id(asyncio.get_running_loop())} {job.key}", JobCounters())
        job.counters.done, job.counters.filled = former.done, former.filled
        return found

    patch.setattr(counting, "counters_of", remembered)


def counters_begun_anew(patch: Patch) -> None:
    """A job's counts aren't kept."""
    decode = Job.decode.__func__  # type: ignore[attr-defined]  # a class method's function

    def forgetful(kind: type[Job], ids: Sequence[str], stored: bytes | None) -> Job:
        job: Job = decode(kind, ids, stored)
        job.counters.spent = 0
        return job

    patch.setattr(Job, "decode", classmethod(forgetful))


def cancelled_work_not_detached(patch: Patch) -> None:
    """A job that was cancelled is over at once, though its leads still wait."""
    patch.setattr(location, "detach_leads", lambda turn, job, limit: True)


def leads_detached_from_another_job(patch: Patch) -> None:
    """A backfill that is cancelled takes its leads along, even if another job has them by now."""

    def detach(self: LeadWork, request: str, lane: Lane) -> None:
        if request in self.waiters.jobs:
            self.waiters.jobs.remove(request)
            if self.listing:
                self.listing.match = None
            self.return_borrowed()

    patch.setattr(LeadWork, "detach", detach)


def copies_forgotten(patch: Patch) -> None:
    """A backfill is known only to the partition that got its request."""
    patch.setattr(ingest, "fan_out", lambda turn, event: None)


def repeated_request_run_again(patch: Patch) -> None:
    """A request id that was accepted before is a new job."""

    def accept(turn: UnitOfWork, data: Any, event: Any) -> None:
        job = Job(data.location_id, data.request_id, cause=event.id, published_at=event.record.timestamp_ms)
        job.changes_end, job.dry_run = event.changes_end or 0, data.dry_run
        location.queue_job(turn, job)

    patch.setattr(ingest, "accept_job", accept)


def cancels_ignored(patch: Patch) -> None:
    """A job goes on though it was cancelled."""
    patch.setattr(ingest, "cancel_job", lambda turn, location, request: None)


def earlier_matches_kept(patch: Patch) -> None:
    """A scan that began anew trusts its former finds as much as its new ones."""
    for room in (scan, walks):
        patch.setattr(room, "scan_match", lambda job, work: work.listing and work.listing.match)
