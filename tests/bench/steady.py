"""Publish events as evenly as a clock, and measure each from its CreateTime until a `read_committed` reader has its result."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from processor.kafka import KafkaConfig
from tests.bench.latency import Results, TimedResult, listening, result_within_s
from tests.bench.leads import Published
from tests.bench.testbed import BenchFailed
from tests.bench.upstream import Upstream

late_at_most_s: Final = 0.5  # of the bench itself: later, the traffic isn't even


async def evenly(config: KafkaConfig, topic: str, events: Sequence[tuple[float, Published]]) -> list[TimedResult]:
    """Publish each event so many seconds after the beginning, without waiting for the others. Return results in the order given."""
    async with listening(config) as (upstream, results):
        begun = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                waiting = []
                for after_s, published in sorted(events, key=lambda event: event[0]):
                    await asyncio.sleep(begun + after_s - time.monotonic())
                    if (late_s := time.monotonic() - begun - after_s) > late_at_most_s:
                        raise BenchFailed(f"the bench is {late_s:.1f} s late itself: the machine is too busy")
                    waiting.append(tasks.create_task(timed_result(upstream, results, topic, published)))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
    return [task.result() for task in waiting]


async def timed_result(upstream: Upstream, results: Results, topic: str, published: Published) -> TimedResult:
    lead = orjson.loads(published[1])["data"]["lead_id"]
    created_ms = await upstream.publish_one(topic, published)
    try:
        return await results.of(lead, 1, created_ms)
    except TimeoutError:
        raise BenchFailed(f"{lead} had no result within {result_within_s:.0f} s") from None


def spread(places: int, each_per_s: float, seconds: float) -> Iterable[tuple[float, int]]:
    """Yield a time and the number of a place: each place evenly, and no two places at once."""
    every_s = 1 / each_per_s
    for turn in range(int(seconds * each_per_s)):
        for place in range(places):
            yield (turn + place / places) * every_s, place
