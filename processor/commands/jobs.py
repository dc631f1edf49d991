"""Sync All and backfill over Kafka alone: ask for a job, watch what is said of it, cancel it.

All of it raises KafkaUnreachable or KafkaRefused when Kafka doesn't answer, or says no.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from processor.commands import home_of, partitions_of, said_in
from processor.commands.progress import Progress, Said, count, kinds
from processor.events.cloudevents import Record, encode
from processor.kafka import KafkaConfig, KafkaUnreachable, Tail, publish_record
from processor.settings import Settings

tick_s: Final = 0.5  # how often a watcher looks at the clock
silent_at_most_ms: Final = 30_000  # no record and no end of what was there: the broker is gone

See = Callable[[Said | None], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for. Without a location: a backfill. The same request id is the same job."""

    request_id: str
    location_id: str | None
    include_messages: bool
    dry_run: bool = False


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def ask(settings: Settings, job: Job) -> None:
    """Ask, and don't wait."""
    what = {"include_messages": job.include_messages, "dry_run": job.dry_run}
    kind = "sync.backfill.requested" if job.location_id is None else "sync.location.requested"
    await request(settings, kind, job.request_id, job.location_id, what, job.request_id)


async def ask_to_cancel(settings: Settings, request_id: str, location_id: str | None) -> None:
    await request(settings, "sync.cancel.requested", request_id, location_id, {}, f"{request_id} cancel {now_ms()}")


async def request(
    settings: Settings, kind: str, request_id: str, location_id: str | None, what: dict[str, bool], unique: str
) -> None:
    key = location_id or request_id
    where = {} if location_id is None else {"location_id": location_id}
    value = encode(
        kind,
        {"request_id": request_id, **where, **what},
        id=unique,
        source="hydrant-cli",
        subject=request_id,
        location=key,
        time_ms=now_ms(),
    )
    await publish_record(KafkaConfig(**settings.kafka()), "sync.requests", key.encode(), value)


async def watch(settings: Settings, job: Job, progress: Progress, see: See, *, again: bool) -> None:
    """Ask for the job and watch it until it is over, a dry run until its plan is known.

    `progress` stands as last heard, `see` is called with each event then, with None now and then. `again`: what was
    said before is heard first, and a job that is over isn't asked for: it ends at once.
    """
    config = KafkaConfig(**settings.kafka())
    partition = await where(config, progress)
    topics = ["sync.progress", "location.status"]
    async with Tail(config, topics, partition=partition) as tail:  # before asking: nothing can be missed
        past = await look_back(config, partition, progress, see) if again else {}
        if not known(job, progress):
            await ask(settings, job)
            await listen(ticking(about(progress, tail, past)), progress, see, lambda: known(job, progress))


async def cancel(settings: Settings, request_id: str, location_id: str | None, within_s: float) -> Progress:
    """Ask to cancel the job, and wait until it is over, at most so long after all that was said of it is read."""
    config = KafkaConfig(**settings.kafka())
    progress = Progress(request_id, location_id, live=False)
    partition = await where(config, progress)
    async with Tail(config, ["sync.progress"], partition=partition) as tail:
        await ask_to_cancel(settings, request_id, location_id)
        past = await look_back(config, partition, progress, ignore)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await listen(ticking(about(progress, tail, past)), progress, ignore, lambda: progress.over)
    return progress


def known(job: Job, progress: Progress) -> bool:
    """Whatever is asked of the job is known."""
    return progress.planned if job.dry_run else progress.over


async def where(config: KafkaConfig, progress: Progress) -> int | None:
    """The partition that tells of the job; None: all do."""
    if progress.location_id is not None:
        return await home_of(config, "sync.progress", progress.location_id)
    progress.partitions = await partitions_of(config, "sync.progress")
    return None


async def look_back(config: KafkaConfig, partition: int | None, progress: Progress, see: See) -> dict[int, int]:
    """Hear what was said before. Returns partition → offset of the last that was read."""
    past: dict[int, int] = {}
    progress.heard_ms = now_ms()

    def patiently(said: Said | None) -> None:
        if said is None and now_ms() - progress.heard_ms > silent_at_most_ms:
            raise KafkaUnreachable(f"no answer from {config.bootstrap} for {silent_at_most_ms // 1_000} s")
        see(said)

    async with Tail(config, ["sync.progress"], partition=partition, start="start", follow=False) as tail:
        await listen(ticking(about(progress, tail, past)), progress, patiently, lambda: False)
    progress.live = True
    return past


async def listen(
    events: AsyncGenerator[Said | None, None], progress: Progress, see: See, enough: Callable[[], bool]
) -> None:
    progress.heard_ms = progress.heard_ms or now_ms()
    async with aclosing(events) as coming:
        async for said in coming:
            if said is not None:
                progress.hear(said)
            see(said)
            if enough():
                return


async def about(progress: Progress, records: AsyncIterable[Record], past: dict[int, int]) -> AsyncIterator[Said]:
    """What is said of the job, of each partition beyond `past`, which moves along. Any record is a sign of life."""
    async for record in records:
        progress.heard_ms = now_ms()
        if record.topic == "location.status":
            if record.key == (progress.location_id or "").encode():
                progress.queued = queued(record)
        elif record.offset > past.get(record.partition, -1):
            past[record.partition] = record.offset
            if (said := said_of(progress, record)) is not None:
                yield said


def said_of(progress: Progress, record: Record) -> Said | None:
    """The event, if it is one of the job's. A job is known by request id and location."""
    if record.value is None or orjson.dumps(progress.request_id)[1:-1] not in record.value:
        return None
    kind, data = said_in(record.value) or ("", {})
    if kind not in kinds:
        return None
    if (data.get("request_id"), data.get("location_id")) != (progress.request_id, progress.location_id):
        return None
    partition = count(data, "partition")
    return Said(kind, data, record.partition if partition is None else partition, record.timestamp_ms)


def queued(record: Record) -> int | None:
    """Leads with pending work, by the location's last status."""
    _, data = said_in(record.value or b"") or ("", {})
    lanes: Any = data.get("queued")
    return sum(number for lane in lanes if (number := count(lanes, lane))) if isinstance(lanes, dict) else None


async def ticking(events: AsyncIterator[Said]) -> AsyncGenerator[Said | None, None]:
    """The events as they come, and None whenever none has come for a tick."""
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait([coming], timeout=tick_s)
            if not done:
                yield None
                continue
            try:
                yield coming.result()
            except StopAsyncIteration:
                return
            coming = asyncio.ensure_future(anext(events))
    finally:
        coming.cancel()  # and waited for: a generator can't be closed while it runs
        await asyncio.wait([coming])


def ignore(_: Said | None) -> None:
    pass
