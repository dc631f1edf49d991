"""Traffic as even as a clock's, and how each event of it fared: from its record's CreateTime to its result in the hands of
a `read_committed` reader.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from processor.kafka import KafkaConfig
from tests.bench.latency import Answered, Results, answer_within_s, listening
from tests.bench.leads import Published
from tests.bench.stage import Failed
from tests.bench.upstream import Upstream

late_at_most_s: Final = 0.5  # of the bench itself: later, the traffic isn't even


async def evenly(config: KafkaConfig, topic: str, asked: Sequence[tuple[float, Published]]) -> list[Answered]:
    """Each is published so many seconds after the beginning, whatever became of the others. In the order given."""
    async with listening(config) as (upstream, results):
        begun = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                waiting = []
                for after_s, published in sorted(asked, key=lambda one: one[0]):
                    await asyncio.sleep(begun + after_s - time.monotonic())
                    if (late_s := time.monotonic() - begun - after_s) > late_at_most_s:
                        raise Failed(f"the bench is {late_s:.1f} s late itself: the machine is too busy")
                    waiting.append(tasks.create_task(one(upstream, results, topic, published)))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
    return [task.result() for task in waiting]


async def one(upstream: Upstream, results: Results, topic: str, published: Published) -> Answered:
    lead = orjson.loads(published[1])["data"]["lead_id"]
    asked_ms = await upstream.one(topic, published)
    try:
        return await results.of(lead, 1, asked_ms)
    except TimeoutError:
        raise Failed(f"{lead} had no result within {answer_within_s:.0f} s") from None


def spread(places: int, each_per_s: float, seconds: float) -> Iterable[tuple[float, int]]:
    """When, and the number of the place: every place evenly, and no two places at once."""
    every_s = 1 / each_per_s
    for turn in range(int(seconds * each_per_s)):
        for place in range(places):
            yield (turn + place / places) * every_s, place
