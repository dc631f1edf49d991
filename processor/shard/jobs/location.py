"""A job's way through its location: it waits for its turn, goes from stage to stage, and ends (DESIGN §3, §7).

A job only opens work in leads and puts matches into it: `decide` decides, `schedule` asks.
"""

from collections.abc import Sequence
from typing import Final

from processor.events.cloudevents import Event
from processor.events.contract import SyncLocationRequested
from processor.shard.decide import abandoned
from processor.shard.documents.job import Backfill, Job
from processor.shard.documents.lead import Lead
from processor.shard.documents.ledger import Position
from processor.shard.indexes import message_queues
from processor.shard.jobs.counting import active_job
from processor.shard.jobs.export import begin_export
from processor.shard.jobs.machine import JobStage, Step, calling, walking
from processor.shard.jobs.planning import plan_job
from processor.shard.jobs.progress import is_paused, report_job
from processor.shard.jobs.walks import close_leads, decide_leads, detach_leads, open_leads, return_borrowed
from processor.shard.store import UnitOfWork

recheck_changes_ms: Final = 250  # lead.changes isn't read up to the request's arrival yet


def accept_job(turn: UnitOfWork, data: SyncLocationRequested, event: Event) -> None:
    """Take up a Sync All. The same request id is the same job."""
    if Job.find(turn, data.location_id, data.request_id) is None:
        job = Job(data.location_id, data.request_id, cause=event.id, published_at=event.record.timestamp_ms)
        job.changes_end, job.dry_run, job.wants_messages = event.changes_end or 0, data.dry_run, data.include_messages
        queue_job(turn, job)


def queue_job(turn: UnitOfWork, job: Job) -> None:
    """Let a job wait for its turn. A Sync All goes before a backfill's, whose scan then begins again."""
    first = turn.first_job(job.location)
    job.accepted_at = max(turn.now, turn.last_accepted(job.location) + 1)  # whatever the former owner's clock
    job.due = turn.now
    turn.add(job)
    overtaken = Job.find(turn, job.location, first) if first and turn.first_job(job.location) == job.id else None
    if overtaken and overtaken.stage in (JobStage.SCANNING, JobStage.DECIDING):
        overtaken.scan_anew(turn.now)


def cancel_job(turn: UnitOfWork, location: str, request: str) -> None:
    """Stop a job's calls at once. An unknown or finished job, or one of a backfill, is none to cancel here."""
    job = Job.find(turn, location, request)
    if job and not job.of_backfill:
        end_job(turn, job, "sync.cancelled")


def step_job(turn: UnitOfWork, job: Job, limit: int) -> Sequence[Lead]:
    """Do what is due of the job: the next `limit` leads of its walk. Returns the leads to decide about."""
    if job.stage is JobStage.OVER:
        job.forget()
        return ()
    is_first = turn.first_job(job.location) == job.id
    if job.stage in walking or job.stage is JobStage.QUEUED:
        job.due = turn.now if is_first or job.stage is JobStage.LEAVING else 0  # else the job before it wakes it
    if job.returning is not None:
        return_borrowed(turn, job, limit)
    if job.stage is JobStage.LEAVING:
        if detach_leads(turn, job, limit):
            close_job(turn, job, Step.LEFT)
        return ()
    if not is_first:
        return ()
    match job.stage:
        case JobStage.QUEUED if job.changes_end > Position.of(turn, "lead.changes").offset:
            job.due = turn.now + recheck_changes_ms
        case JobStage.QUEUED:
            job.advance(Step.STARTED, turn.now)
        case JobStage.OPENING:
            return open_leads(turn, job, limit)
        case JobStage.DECIDING:
            return decide_leads(turn, job, limit)
        case JobStage.CLOSING:
            return close_leads(turn, job, limit)
    return ()


def advance_jobs(turn: UnitOfWork) -> None:
    """Draw the conclusions of this turn for the jobs that it touched."""
    for job in turn.touched(Job):
        if job.stage is JobStage.PLANNING:
            plan_job(turn, job)
        if job.stage is JobStage.ASKING and job.dry_run:
            end_job(turn, job, "sync.cancelled", "dry_run")
        elif job.stage in calling and job.counters.complete and not job.ended and not job.dry_run:
            end_job(turn, job, "sync.completed")
        turn.reindex(job)
        if job.stage in calling:
            turn.locations_to_schedule[job.location] = None


def begin_messages(turn: UnitOfWork) -> None:
    """Begin to read messages where a job lacks nothing else, before slots are given away."""
    if not turn.any_job():
        return
    for location in turn.locations_to_schedule:
        job = active_job(turn, location)
        if job is None:
            continue
        if job.stage is JobStage.ASKING and only_messages_missing(turn, job):
            begin_export(turn, job)
            turn.reindex(job)


def only_messages_missing(turn: UnitOfWork, job: Job) -> bool:
    """True if the job may read messages: no other question of its leads waits, and no call for one is in flight."""
    first, messages = turn.first_due(job.location), message_queues[job.lane]
    return job.lane not in first and messages in first and not turn.calls_in_flight(job.location, (job.lane,))


def end_job(turn: UnitOfWork, job: Job, kind: str, reason: str | None = None) -> None:
    """Report its end at once; no call is made for it any more, and its leads are detached in slices."""
    if job.ended:
        return
    job.ended, job.reason = turn.now, reason
    if job.of_backfill:
        end_share(turn, job, kind)
    else:
        report_job(turn, job, kind)
    if kind == "sync.completed" or job.dry_run:
        close_job(turn, job, Step.COMPLETED)
    else:
        job.advance(Step.STOPPED, turn.now)


def end_share(turn: UnitOfWork, job: Job, kind: str) -> None:
    """A backfill goes on without a location whose pages HighLevel refuses: its leads have failed."""
    whole = Backfill.find(turn, job.id)
    if whole is None:
        return
    whole.jobs_paused -= is_paused(job)
    left = job.counters.leads - job.counters.leads_done
    if kind == "sync.failed" and left > 0:
        whole.counters.done[abandoned] = whole.counters.done.get(abandoned, 0) + left


def close_job(turn: UnitOfWork, job: Job, step: Step) -> None:
    """Remember it for a day; the next one has its turn."""
    job.advance(step, turn.now)
    turn.reindex(job)
    if job.of_backfill and (whole := Backfill.find(turn, job.id)):
        whole.jobs_over, whole.report.has_news = whole.jobs_over + 1, True
    following = turn.first_job(job.location)
    if following and (waiting := Job.find(turn, job.location, following)):
        waiting.due = turn.now
        turn.reindex(waiting)
    turn.locations_to_schedule[job.location] = None


def start_returning(turn: UnitOfWork) -> None:
    """The day has calls left for changes alone: jobs that stand still return the changes that they borrowed."""
    for job in turn.touched(Job):
        stands_still = not job.ended and job.stage in calling and job.report.paused == "daily_budget"
        if stands_still and job.borrowed and job.returning is None:
            job.returning, job.due = "", turn.now
