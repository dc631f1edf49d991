"""A backfill's request has no home and reaches every partition.

Each partition syncs each of its locations as a job of the lowest lane (DESIGN §3).
"""

from typing import Final

from processor.events.cloudevents import Event
from processor.events.contract import SyncBackfillRequested
from processor.ratelimit.budget import Lane
from processor.shard.documents.job import Backfill, Job
from processor.shard.documents.ledger import Position
from processor.shard.jobs.location import end_job, queue_job, recheck_changes_ms
from processor.shard.jobs.machine import JobStage, Step
from processor.shard.jobs.progress import report_backfill
from processor.shard.store import UnitOfWork

locations_at_once: Final = 100  # listed or left in a turn


def accept_backfill(turn: UnitOfWork, data: SyncBackfillRequested, event: Event) -> None:
    """Take up a backfill. The same request id is the same backfill."""
    if Backfill.find(turn, data.request_id) is None:
        whole = Backfill(data.request_id, event.id, event.record.timestamp_ms, turn.now, event.changes_end or 0)
        whole.dry_run, whole.wants_messages, whole.due = data.dry_run, data.include_messages, turn.now
        turn.add(whole)


def cancel_backfill(turn: UnitOfWork, request: str) -> None:
    """Report the end at once; its jobs are cancelled some in a turn, and make no calls meanwhile."""
    whole = Backfill.find(turn, request)
    if whole and not whole.ended:
        whole.ended = turn.now
        report_backfill(turn, whole, "sync.cancelled")
        whole.advance(Step.STOPPED, turn.now)


def step_backfill(turn: UnitOfWork, whole: Backfill) -> None:
    """Do what is due of the backfill: list some more locations, or leave some more."""
    match whole.stage:
        case JobStage.QUEUED if whole.changes_end > Position.of(turn, "lead.changes").offset:
            whole.due = turn.now + recheck_changes_ms
        case JobStage.QUEUED:
            whole.advance(Step.STARTED, turn.now)
        case JobStage.FANNING_OUT:
            list_locations(turn, whole)
        case JobStage.LEAVING:
            leave_locations(turn, whole)
        case JobStage.OVER:
            whole.forget()


def list_locations(turn: UnitOfWork, whole: Backfill) -> None:
    whole.due = turn.now
    found = turn.locations(whole.walked, locations_at_once)
    for location in found:
        if Job.find(turn, location, whole.id) is None:
            whole.jobs += 1
            job = Job(location, whole.id, Lane.BACKFILL, whole.cause, whole.published_at)
            job.dry_run, job.wants_messages = whole.dry_run, whole.wants_messages
            queue_job(turn, job)
    if whole.walk(found, locations_at_once):
        whole.advance(Step.OPENED, turn.now)
        if not whole.dry_run:
            report_backfill(turn, whole, "sync.started")


def leave_locations(turn: UnitOfWork, whole: Backfill) -> None:
    whole.due = turn.now
    found = turn.locations_of_job(whole.id, whole.walked, locations_at_once)
    for location in found:
        if job := Job.find(turn, location, whole.id):
            end_job(turn, job, "sync.cancelled")
    if whole.walk(found, locations_at_once):
        whole.advance(Step.LEFT, turn.now)


def advance_backfills(turn: UnitOfWork) -> None:
    """A backfill is done when all its jobs are."""
    for whole in turn.touched(Backfill):
        if whole.stage is JobStage.SERVING and whole.jobs_over >= whole.jobs and not whole.ended:
            whole.ended = turn.now
            if whole.dry_run:
                report_backfill(turn, whole, "sync.started")
            kind, reason = ("sync.cancelled", "dry_run") if whole.dry_run else ("sync.completed", None)
            report_backfill(turn, whole, kind, reason)
            whole.advance(Step.COMPLETED, turn.now)
