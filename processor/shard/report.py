"""Report how each location stands: at once when that changes, else now and then while busy (DESIGN §3)."""

from typing import Final

from processor.events.fields import rfc3339
from processor.ratelimit.budget import Budget
from processor.shard.documents.ledger import Ledger
from processor.shard.documents.location import Location, report_every_ms
from processor.shard.documents.work import lanes
from processor.shard.jobs.counting import active_job
from processor.shard.publish import publish_event
from processor.shard.store import UnitOfWork
from processor.telemetry.catalogue import StatusChanged

look_again_at_idle_ms: Final = 60_000  # at an idle location that isn't ok


def report_locations(turn: UnitOfWork) -> dict[str, int | None]:
    """Publish `location.status` where it is due. Returns by location when it is due next (ms; None: only when touched)."""
    return {name: report_location(turn, name) for name in turn.locations_to_schedule}


def report_location(turn: UnitOfWork, name: str) -> int | None:
    now = turn.now
    location, budget = Location.of(turn, name), Ledger.of(turn, name).budget
    state, reason, until = location.standing(budget, now)
    if location.pause:
        turn.refused_tokens.append((name, location.pause.token))
    granted = budget.granted_in_window(now)
    changed = state != location.state
    if not changed and now < location.reported + report_every_ms:
        due = location.reported + report_every_ms if granted or location.was_busy else None
    else:
        queued = count_queued(turn, name)
        busy = bool(granted or queued)
        if changed:
            turn.telemetry.append(
                StatusChanged(location=name, state=state, previous=location.state, reason=reason, until=until)
            )
            location.state, location.since = state, now
        if changed or busy or location.was_busy:
            location.since, location.reported = location.since or now, now
            publish_status(turn, location, budget, reason, until, queued, granted)
        location.was_busy = busy
        due = now + report_every_ms if busy else None
    if state != "ok":  # it may be over sooner than it seems
        again = now + look_again_at_idle_ms
        due = min(due or again, until if until and until > now else again)
    return due


def count_queued(turn: UnitOfWork, name: str) -> dict[int, int]:
    """Count what waits, by lane; of a job its leads that have no outcome yet."""
    queued = turn.queued(name)
    if job := active_job(turn, name):
        queued[job.lane] = job.counters.leads - job.counters.leads_done
    return queued


def publish_status(
    turn: UnitOfWork,
    location: Location,
    budget: Budget,
    reason: str | None,
    until: int | None,
    queued: dict[int, int],
    granted: int,
) -> None:
    now, oldest = turn.now, turn.oldest_pending(location.id)
    data = {
        "location_id": location.id,
        "state": location.state,
        "since": rfc3339(location.since),
        "until": rfc3339(until) if until else None,
        "reason": reason,
        "queued": {lanes[lane].label: count for lane, count in queued.items()},
        "oldest_pending_s": max(0, now - oldest) // 1000 if oldest is not None else 0,
        "sent_10s": granted,
        "sent_today": budget.granted_today(now),
        "left_today": budget.left_today(now),
        "worker": turn.setup.worker,
    }
    name = location.id
    publish_event(turn, "location.status", "location.status", name, name, f"{name}:{now}", data)
