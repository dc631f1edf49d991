"""Report how jobs and backfills stand: `sync.*` on `sync.progress` (DESIGN §3)."""

from collections.abc import Mapping
from typing import Final

from processor.events.fields import rfc3339
from processor.shard.decide import Outcome
from processor.shard.documents.job import Backfill, Job, JobCounters, progress_every_ms
from processor.shard.documents.ledger import Ledger
from processor.shard.documents.location import Location
from processor.shard.jobs.machine import calling
from processor.shard.publish import publish_event
from processor.shard.store import UnitOfWork
from processor.telemetry.catalogue import JobChanged

decide_lead_us: Final = 250  # µs of a lead, when a scan is decided: an estimate, for the ETA
still_going: Final = ("sync.started", "sync.progressed", "sync.paused")


def report_progress(turn: UnitOfWork) -> None:
    """Report every job that this turn touched: a pause or its end at once, else how far it is, now and then."""
    for job in turn.touched(Job):
        if not job.ended and job.stage in calling:
            report_touched(turn, job)
    for whole in turn.touched(Backfill):
        if whole.report.started and not whole.ended and whole.report.has_news:
            report_touched_backfill(turn, whole)


def is_paused(job: Job) -> bool:
    """True if the last report was that the job stands still."""
    return bool(job.report.paused)


def report_touched(turn: UnitOfWork, job: Job) -> None:
    paused, until = standing(turn, job)
    report = job.report
    changed, moved = paused != report.paused, until != report.until
    if changed and job.of_backfill and (whole := Backfill.find(turn, job.id)):
        whole.jobs_paused += bool(paused) - bool(report.paused)
        whole.report.paused, whole.report.until = paused or whole.report.paused, until
        whole.report.has_news = True
    report.paused, report.until = paused, until
    due = bool(moved or (report.has_news and report.started)) and turn.now >= report.at + progress_every_ms
    if changed:
        due = bool(paused or report.started)
    if due:
        report_job(turn, job, "sync.paused" if paused else "sync.progressed")


def report_touched_backfill(turn: UnitOfWork, whole: Backfill) -> None:
    """A backfill stands still when all its locations do."""
    if turn.now >= whole.report.at + progress_every_ms:
        still = 0 < whole.jobs - whole.jobs_over <= whole.jobs_paused
        if not still:
            whole.report.until = None
        report_backfill(turn, whole, "sync.paused" if still else "sync.progressed")


def standing(turn: UnitOfWork, job: Job) -> tuple[str | None, int | None]:
    """Return why no call is made for the job, and until when (ms)."""
    budget = Ledger.of(turn, job.location).budget
    state, _, until = Location.of(turn, job.location).standing(budget, turn.now)
    if state != "ok":
        return state, until
    if (allowed := budget.day_allows(turn.now, job.lane)) > turn.now:
        return "daily_budget", allowed
    return None, None


def report_job(turn: UnitOfWork, job: Job, kind: str) -> None:
    """Report how a Sync All stands; a backfill's share only notes when it will be done."""
    report = job.report
    if kind == "sync.started":
        report.started = turn.now
    eta = job_eta(turn, job) if job.plan else None
    report.at, report.has_news, report.number = turn.now, False, report.number + 1
    if job.of_backfill:
        if (whole := Backfill.find(turn, job.id)) and eta:
            whole.eta = max(whole.eta or 0, eta)
        return
    data = {
        "request_id": job.id,
        "location_id": job.location,
        "partition": turn.setup.partition,
        "partitions": turn.setup.partitions,
        "plan": job.plan,
        **numbers(job.counters),
        **times(report.started or None, None if job.ended else eta, report.until if report.paused else None),
        "reason": job.reason if job.ended else report.paused,
    }
    publish_event(turn, "sync.progress", kind, job.location, job.id, f"{job.id}:{report.number}", data)
    job_changed(turn, kind, job, job.location, job.plan, job.reason if job.ended else report.paused)


def job_eta(turn: UnitOfWork, job: Job) -> int:
    """Estimate when the job will be done, ms: its calls in its lane, from the end of its pause."""
    counters, report = job.counters, job.report
    budget = Ledger.of(turn, job.location).budget
    calls = 0 if job.ended else max(counters.planned - counters.spent, int(not counters.complete))
    decided = (counters.leads - counters.leads_done) * decide_lead_us // 1_000
    resumes = (report.paused and report.until) or turn.now
    return max(budget.done_by(calls, turn.now, job.lane), resumes) + decided


def report_backfill(turn: UnitOfWork, whole: Backfill, kind: str, reason: str | None = None) -> None:
    report = whole.report
    if kind == "sync.started":
        report.started = turn.now
    report.at, report.has_news, report.number = turn.now, False, report.number + 1
    paused = kind == "sync.paused"
    eta = whole.eta if whole.eta and whole.eta > turn.now and kind in still_going else None
    data = {
        "request_id": whole.id,
        "location_id": None,
        "partition": turn.setup.partition,
        "partitions": turn.setup.partitions,
        "plan": None,
        **numbers(whole.counters),
        **times(report.started or None, eta, report.until if paused else None),
        "reason": report.paused if paused else reason,
    }
    unique = f"{whole.id}:{report.number}"
    publish_event(turn, "sync.progress", kind, whole.id, whole.id, unique, data, source=turn.setup.partition)
    job_changed(turn, kind, whole, None, None, None if whole.ended else report.paused)


def numbers(counters: JobCounters) -> Mapping[str, object]:
    """Return the counters as progress words them. Saved: what one call a lead would have cost beyond what was spent."""
    return {
        "leads_total": counters.leads,
        "leads_done": counters.leads_done,
        **{outcome.value: counters.done.get(outcome, 0) for outcome in Outcome},
        "filled": dict(counters.filled),
        "messages_imported": counters.messages,
        "calls_planned": max(counters.planned, counters.spent),
        "calls_spent": counters.spent,
        "calls_saved": max(0, counters.looked_up - counters.spent),
    }


def times(started: int | None, eta: int | None, until: int | None) -> Mapping[str, object]:
    named = {"started_at": started, "eta": eta, "paused_until": until}
    return {name: rfc3339(at) if at else None for name, at in named.items()}


def job_changed(
    turn: UnitOfWork, kind: str, job: Job | Backfill, location: str | None, plan: str | None, reason: str | None
) -> None:
    if kind == "sync.progressed":
        return
    turn.telemetry.append(
        JobChanged(
            location=location,
            request=job.id,
            state=kind.removeprefix("sync."),
            plan=plan,
            reason=reason,
            leads=job.counters.leads,
            leads_done=job.counters.leads_done,
            calls=job.counters.spent,
            ms=turn.now - job.report.started if job.report.started else None,
        )
    )
