"""Follow a Sync All or a backfill over Kafka alone: request it and watch it, or cancel it.

Both operations raise KafkaUnreachable when Kafka doesn't respond, and KafkaRefused when it refuses.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Final

from processor.cli.job_progress import JobEvent, JobProgress, job_events, read_count
from processor.cli.operations import (
    EventData,
    JobRequest,
    home_partition,
    now_ms,
    partitions_of,
    publish_request,
    type_and_data,
)
from processor.events.cloudevents import Record
from processor.events.contract import SyncCancelRequested
from processor.kafka import KafkaConfig, KafkaUnreachable, Tail
from processor.settings import Settings

tick_s: Final = 0.5  # how often a watcher looks at the clock
silent_at_most_ms: Final = 30_000  # no record and no end of the past: the broker is gone

OnEvent = Callable[[JobEvent | None], None]  # None: a tick without an event


async def watch_job(
    settings: Settings, request: JobRequest, progress: JobProgress, on_event: OnEvent, *, resume: bool
) -> None:
    """Request the job and watch it until it has ended, a dry run until its plan is known.

    Each event is applied to `progress` before `on_event` gets it. With `resume`, the events of the past come first,
    and a job that has ended is not requested: after a day its request id would be a new job's.
    """

    def finished() -> bool:
        return progress.planned if request.dry_run else progress.ended

    reader = await _job_reader(settings, progress, on_event)
    topics = ["sync.progress", "location.status"]
    async with Tail(reader.config, topics, partition=reader.partition) as tail:  # first, so that no event is missed
        if resume:
            await reader.read_past()
        if not finished():
            await publish_request(settings, request)
            await reader.read(tail, finished)


async def cancel_and_wait(settings: Settings, request: SyncCancelRequested, within_s: float) -> JobProgress:
    """Request the cancel, read the past, and wait at most `within_s` until the job has ended. Return its progress."""
    progress = JobProgress(request.request_id, request.location_id, live=False)
    reader = await _job_reader(settings, progress, lambda _: None)
    async with Tail(reader.config, ["sync.progress"], partition=reader.partition) as tail:
        await publish_request(settings, request)
        await reader.read_past()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await reader.read(tail, lambda: progress.ended)
    return progress


async def _job_reader(settings: Settings, progress: JobProgress, on_event: OnEvent) -> "_JobReader":
    config = KafkaConfig(**settings.kafka())
    if progress.location_id is not None:
        partition = await home_partition(config, "sync.progress", progress.location_id)
        return _JobReader(config, partition, progress, on_event)
    progress.partitions = await partitions_of(config, "sync.progress")
    return _JobReader(config, None, progress, on_event)


class _JobReader:
    """Applies the job's events to its progress, each once: the readers of the past and of the news overlap."""

    def __init__(self, config: KafkaConfig, partition: int | None, progress: JobProgress, on_event: OnEvent) -> None:
        self.config, self.partition = config, partition
        self._progress, self._on_event = progress, on_event
        self._offsets: dict[int, int] = {}  # partition → the last that was read

    async def read_past(self) -> None:
        self._progress.last_sign_ms = now_ms()
        async with Tail(self.config, ["sync.progress"], partition=self.partition, start="start", follow=False) as tail:
            await self.read(tail, lambda: False, silent_at_most_ms)
        self._progress.live = True

    async def read(
        self, records: AsyncIterable[Record], finished: Callable[[], bool], patience_ms: int | None = None
    ) -> None:
        progress = self._progress
        progress.last_sign_ms = progress.last_sign_ms or now_ms()
        async with aclosing(_with_ticks(self._events(records))) as events:
            async for event in events:
                if event is not None:
                    progress.apply(event)
                elif patience_ms is not None and now_ms() - progress.last_sign_ms > patience_ms:
                    raise KafkaUnreachable(f"no response from {self.config.bootstrap} for {patience_ms // 1_000} s")
                self._on_event(event)
                if finished():
                    return

    async def _events(self, records: AsyncIterable[Record]) -> AsyncIterator[JobEvent]:
        progress = self._progress
        async for record in records:
            progress.last_sign_ms = now_ms()  # any record is a sign of life
            kind, data = type_and_data(record.value)
            if record.topic == "location.status":
                if record.key == (progress.location_id or "").encode():
                    progress.queued = _queued(data)
                continue
            if record.offset <= self._offsets.get(record.partition, -1):
                continue
            self._offsets[record.partition] = record.offset
            ids = data.get("request_id"), data.get("location_id")
            if kind in job_events and ids == (progress.request_id, progress.location_id):
                partition = read_count(data, "partition")
                yield JobEvent(kind, data, record.partition if partition is None else partition, record.timestamp_ms)


def _queued(status: EventData) -> int | None:
    """Return how many leads of the location have pending work, in all lanes."""
    lanes = status.get("queued")
    return sum(read_count(lanes, lane) or 0 for lane in lanes) if isinstance(lanes, dict) else None


async def _with_ticks(events: AsyncIterator[JobEvent]) -> AsyncGenerator[JobEvent | None, None]:
    """Yield the events as they come, and None whenever a tick has passed without one."""
    upcoming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=tick_s)
            if not done:
                yield None
                continue
            try:
                yield upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = asyncio.ensure_future(anext(events))
    finally:
        upcoming.cancel()  # and awaited: a generator can't be closed while it runs
        await asyncio.wait([upcoming])
