"""Report: how each location stands, at once when that changes, else now and then while busy (DESIGN §3, `location.status`)."""

from typing import Final

from processor.events.fields import rfc3339
from processor.ratelimit.budget import Lane
from processor.shard.job import active
from processor.shard.ledger import Ledger
from processor.shard.location import Location, report_every_ms
from processor.shard.notes import Note
from processor.shard.result import emit
from processor.shard.setup import Setup
from processor.shard.state import Changes

look_again_ms: Final = 60_000  # at an idle location that ails


def report(changes: Changes, setup: Setup, now: int) -> None:
    for name in changes.busy:
        location, budget = Location.of(changes, name), Ledger.of(changes, setup, name, now).budget
        state, reason, until = location.standing(budget, now)
        if location.pause:
            changes.watched.append((name, location.pause.token))
        sent = budget.granted_in_window(now)
        changed = state != location.state
        if not changed and now < location.reported + report_every_ms:
            due = location.reported + report_every_ms if sent or location.was_busy else None
        else:
            queued = changes.queued(name)
            if job := active(changes, name):
                queued[job.lane] = job.tally.leads - job.tally.leads_done
            oldest = changes.oldest_pending(name)
            if changed:
                said = {"location": name, "state": state, "previous": location.state, "reason": reason, "until": until}
                changes.notes.append(Note("status", said))
                location.state, location.since = state, now
            busy = bool(sent or queued)
            if changed or busy or location.was_busy:
                location.since = location.since or now
                location.reported = now
                data: dict[str, object] = {
                    "location_id": name,
                    "state": state,
                    "since": rfc3339(location.since),
                    "until": rfc3339(until) if until else None,
                    "reason": reason,
                    "queued": {Lane(lane).label: count for lane, count in queued.items()},
                    "oldest_pending_s": max(0, now - oldest) // 1000 if oldest is not None else 0,
                    "sent_10s": sent,
                    "sent_today": budget.granted_today(now),
                    "left_today": budget.left_today(now),
                    "worker": setup.worker,
                }
                emit(changes, "location.status", "location.status", name, name, f"{name}:{now}", data, now)
            location.was_busy = busy
            due = now + report_every_ms if busy else None
        if state != "ok":  # it may be over sooner than it seems
            due = min(due or now + look_again_ms, until if until and until > now else now + look_again_ms)
        changes.remind_by(location.key, due)
