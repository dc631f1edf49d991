"""Jobs count what was decided: with the job, and with the backfill that it is part of."""

from collections.abc import Sequence

from processor.shard.decide import Conclusion
from processor.shard.documents.job import Backfill, Job, JobCounters
from processor.shard.documents.lead import Lead
from processor.shard.documents.work import LeadWork
from processor.shard.store import UnitOfWork


def active_job(turn: UnitOfWork, location: str) -> Job | None:
    """Return the location's job that may make calls now."""
    first = turn.first_job(location)
    job = Job.find(turn, location, first) if first else None
    return job if job and not has_ended(turn, job) else None


def has_ended(turn: UnitOfWork, job: Job) -> bool:
    """True if its end was reported, or that of the backfill that it is part of."""
    whole = Backfill.find(turn, job.id) if job.of_backfill else None
    return bool(job.ended or (whole and whole.ended))


def waiting_jobs(turn: UnitOfWork, lead: Lead) -> Sequence[Job]:
    """Return the jobs that wait for this lead."""
    waiting = lead.work.waiters.jobs if lead.work else ()
    found = (Job.find(turn, lead.location, request) for request in waiting)
    return [job for job in found if job and not has_ended(turn, job)]


def counters_of(turn: UnitOfWork, job: Job) -> Sequence[JobCounters]:
    """Return the counters that count for a job; what changes in them is worth a report."""
    counters = [job.counters]
    job.report.has_news = True
    if job.of_backfill and (whole := Backfill.find(turn, job.id)):
        whole.report.has_news = True
        counters.append(whole.counters)
    return counters


def count_outcome(turn: UnitOfWork, lead: Lead, work: LeadWork, conclusion: Conclusion) -> None:
    """The lead has its outcome in the jobs that wait for it; the rest of its work is for others."""
    if not work.waiters.jobs:
        return
    jobs = waiting_jobs(turn, lead)
    for job in jobs:
        for counters in counters_of(turn, job):
            counters.count(conclusion.outcome.value, conclusion.filled, work.looked_up, work.imported)
    if jobs:
        work.waiters.jobs = []
        work.return_borrowed()


def plan_calls(turn: UnitOfWork, job: Job, calls: int, lower: bool = True) -> None:
    """So many calls are still to come. `lower`: the plan may have become cheaper."""
    more = job.counters.spent + calls - job.counters.planned
    for counters in counters_of(turn, job):
        counters.planned += more if lower else max(0, more)
