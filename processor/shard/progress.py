"""What screens are told of jobs and backfills: `sync.*` on `sync.progress` (DESIGN §3)."""

from typing import Final

from processor.events.fields import rfc3339
from processor.shard.job import Backfill, Job, going, tell_every_ms
from processor.shard.ledger import Ledger
from processor.shard.location import Location
from processor.shard.result import emit
from processor.shard.setup import Setup
from processor.shard.state import Changes
from processor.telemetry.catalogue import JobChanged

settle_us: Final = 250  # of a lead, when a scan is decided: an estimate, for the ETA
still_going: Final = ("sync.started", "sync.progressed", "sync.paused")


def tell(changes: Changes, setup: Setup, now: int) -> None:
    """Of every job that this turn touched: that it stands still or goes on again at once, else how far it is, now and
    then."""
    for job in changes.touched(Job):
        if not job.ended and job.stage in going:
            tell_job(changes, setup, job, now)
    for whole in changes.touched(Backfill):
        if whole.told.started and not whole.ended:
            tell_backfill(changes, setup, whole, now)


def tell_job(changes: Changes, setup: Setup, job: Job, now: int) -> None:
    held, until = standing(changes, setup, job, now)
    told = job.told
    if held == "daily_budget" and job.lent and job.giving is None:
        job.giving, job.due = "", now  # the day still has calls for changes
    changed, moved = held != told.held, until != told.until
    if changed and job.is_backfills and (whole := Backfill.of(changes, job.id)):
        whole.held += bool(held) - bool(told.held)
        whole.told.held, whole.told.until, whole.told.anew = held or whole.told.held, until, True
    told.held, told.until = held, until
    due = bool(moved or (told.anew and told.started)) and now >= told.at + tell_every_ms
    if changed:
        due = bool(held or told.started)
    if due:
        say(changes, setup, job, "sync.paused" if held else "sync.progressed", now)


def tell_backfill(changes: Changes, setup: Setup, whole: Backfill, now: int) -> None:
    """It stands still when all its locations do."""
    if whole.told.anew and now >= whole.told.at + tell_every_ms:
        still = 0 < whole.jobs - whole.over <= whole.held
        if not still:
            whole.told.until = None
        say_of_backfill(changes, setup, whole, "sync.paused" if still else "sync.progressed", now)


def standing(changes: Changes, setup: Setup, job: Job, now: int) -> tuple[str | None, int | None]:
    """Why no call is made for it, and until when."""
    budget = Ledger.of(changes, setup, job.location, now).budget
    state, _, until = Location.of(changes, job.location).standing(budget, now)
    if state != "ok":
        return state, until
    if (allowed := budget.day_allows(now, job.lane)) > now:
        return "daily_budget", allowed
    return None, None


def say(changes: Changes, setup: Setup, job: Job, kind: str, now: int) -> None:
    """Tell how a Sync All stands; of a backfill's share its whole is told."""
    told, tally = job.told, job.tally
    if kind == "sync.started":
        told.started = now
    budget = Ledger.of(changes, setup, job.location, now).budget
    left = 0 if job.ended else max(tally.planned - tally.spent, int(not tally.complete))
    settled = (tally.leads - tally.leads_done) * settle_us // 1_000
    again = (told.held and told.until) or now
    eta = max(budget.done_by(left, now, job.lane), again) + settled if job.plan else None
    told.at, told.anew, told.number = now, False, told.number + 1
    if job.is_backfills:
        if (whole := Backfill.of(changes, job.id)) and eta:
            whole.eta = max(whole.eta or 0, eta)
        return
    data = {
        "request_id": job.id,
        "location_id": job.location,
        "partition": setup.partition,
        "partitions": setup.partitions,
        "plan": job.plan,
        **tally.data(),
        **times(told.started or None, None if job.ended else eta, told.until if told.held else None),
        "reason": job.reason if job.ended else told.held,
    }
    emit(changes, "sync.progress", kind, job.location, job.id, f"{job.id}:{told.number}", data, now)
    note(changes, kind, job, now)


def say_of_backfill(
    changes: Changes, setup: Setup, whole: Backfill, kind: str, now: int, reason: str | None = None
) -> None:
    told = whole.told
    if kind == "sync.started":
        told.started = now
    told.at, told.anew, told.number = now, False, told.number + 1
    paused = kind == "sync.paused"
    eta = whole.eta if whole.eta and whole.eta > now and kind in still_going else None
    data = {
        "request_id": whole.id,
        "location_id": None,
        "partition": setup.partition,
        "partitions": setup.partitions,
        "plan": None,
        **whole.tally.data(),
        **times(told.started or None, eta, told.until if paused else None),
        "reason": told.held if paused else reason,
    }
    unique = f"{whole.id}:{told.number}"
    emit(changes, "sync.progress", kind, whole.id, whole.id, unique, data, now, source=setup.partition)
    note(changes, kind, whole, now)


def times(started: int | None, eta: int | None, until: int | None) -> dict[str, object]:
    said = {"started_at": started, "eta": eta, "paused_until": until}
    return {name: rfc3339(at) if at else None for name, at in said.items()}


def note(changes: Changes, kind: str, what: Job | Backfill, now: int) -> None:
    if kind == "sync.progressed":
        return
    tally = what.tally
    changed = JobChanged(
        location=what.location if isinstance(what, Job) else None,
        request=what.id,
        state=kind.removeprefix("sync."),
        plan=what.plan if isinstance(what, Job) else None,
        reason=what.told.held if not what.ended else what.reason if isinstance(what, Job) else None,
        leads=tally.leads,
        leads_done=tally.leads_done,
        calls=tally.spent,
        ms=now - what.told.started if what.told.started else None,
    )
    changes.notes.append(changed)
