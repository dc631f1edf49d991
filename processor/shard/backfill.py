"""A backfill: a request without a home goes to every partition, which syncs each of its locations as a job of the lowest
lane (DESIGN §3)."""

from typing import Final

from processor.events.cloudevents import Event, encode
from processor.events.contract import SyncBackfillRequested, SyncCancelRequested
from processor.ratelimit.budget import Lane
from processor.shard.job import Backfill, Job
from processor.shard.progress import say_of_backfill
from processor.shard.setup import Setup
from processor.shard.state import Changes, Out, Position
from processor.shard.sync_all import admit, end, recheck_ms

fanned_out: Final = "hydrant-fanned-out"
locations_at_once: Final = 100  # listed or left in a turn


def fan_out(changes: Changes, setup: Setup, event: Event, now: int) -> None:
    """Every other partition gets a copy of what has no home. It is written anew, so that no padding is multiplied."""
    record = event.record
    if any(name == fanned_out for name, _ in record.headers):
        return
    data = event.data.model_dump(exclude_none=True)
    source, subject = f"hydrant/{setup.partition}", data["request_id"]
    value = encode(event.type, data, id=event.id, source=source, subject=subject, location=subject, time_ms=now)
    for partition in range(setup.partitions):
        if partition != setup.partition:
            key, headers = subject.encode(), ((fanned_out, b"1"),)
            changes.records.append(Out(record.topic, key, value, headers, partition, record.timestamp_ms))


def backfill_requested(changes: Changes, data: SyncBackfillRequested, event: Event, now: int) -> None:
    """The same request id is the same backfill."""
    if Backfill.of(changes, data.request_id) is None:
        since, end = event.record.timestamp_ms, event.changes_end or 0
        whole = Backfill(data.request_id, event.id, since, now, end, data.dry_run, data.include_messages, due=now)
        changes.hold(whole, None)
        changes.refresh(whole)


def cancel_backfill(changes: Changes, setup: Setup, data: SyncCancelRequested, now: int) -> None:
    """It is told at once; its jobs are cancelled some in a turn, and make no calls meanwhile."""
    whole = Backfill.of(changes, data.request_id)
    if whole and not whole.ended:
        whole.ended = now
        say_of_backfill(changes, setup, whole, "sync.cancelled", now)
        whole.to("leaving", now)


def step(changes: Changes, setup: Setup, whole: Backfill, now: int) -> None:
    """What is due of the backfill: list some more locations, or leave some more."""
    match whole.stage:
        case "queued" if whole.changes_end > Position.of(changes, "lead.changes").offset:
            whole.due = now + recheck_ms
        case "queued":
            whole.to("listing", now)
        case "listing":
            list_locations(changes, setup, whole, now)
        case "leaving":
            leave_locations(changes, setup, whole, now)
        case "over":
            whole.ended = -1  # forgotten


def list_locations(changes: Changes, setup: Setup, whole: Backfill, now: int) -> None:
    whole.due = now
    found = changes.locations(whole.walked, locations_at_once)
    for location in found:
        if Job.of(changes, location, whole.id) is None:
            whole.jobs += 1
            share = Job(
                location, whole.id, Lane.BACKFILL, whole.cause, whole.since, dry=whole.dry, messages=whole.messages
            )
            admit(changes, share, now)
    whole.walked = found[-1] if found else whole.walked
    if len(found) < locations_at_once:
        whole.to("asking", now)
        if not whole.dry:
            say_of_backfill(changes, setup, whole, "sync.started", now)


def leave_locations(changes: Changes, setup: Setup, whole: Backfill, now: int) -> None:
    whole.due = now
    found = changes.jobs(whole.id, whole.walked, locations_at_once)
    for location in found:
        if job := Job.of(changes, location, whole.id):
            end(changes, setup, job, "sync.cancelled", now)
    whole.walked = found[-1] if found else whole.walked
    if len(found) < locations_at_once:
        whole.to("over", now)


def advance(changes: Changes, setup: Setup, now: int) -> None:
    """It is done when all its jobs are."""
    for whole in changes.touched(Backfill):
        if whole.stage == "asking" and whole.over >= whole.jobs and not whole.ended:
            whole.ended = now
            if whole.dry:
                say_of_backfill(changes, setup, whole, "sync.started", now)
            kind, reason = ("sync.cancelled", "dry_run") if whole.dry else ("sync.completed", None)
            say_of_backfill(changes, setup, whole, kind, now, reason)
            whole.to("over", now)
