"""Measure a lone event from its record's CreateTime until a `read_committed` reader has its result."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig, Tail
from tests.bench.figures import Bar, Figure, Report, at_most, percentile
from tests.bench.leads import Published, change, changes, contacts, locations, sync
from tests.bench.testbed import BenchFailed, Testbed
from tests.bench.upstream import Upstream

latency_ms: Final = 50.0  # of the sandbox
where: Final = locations(24)
warm_up: Final = 2 * len(where)  # not counted: connections open, code is warm
result_within_s: Final = 10.0
one_gap: Final = ("contact_id",)
many_gaps: Final = ("contact_id", "phone", "first_name", "last_name", "company_name", "website", "timezone")


@dataclass(frozen=True, slots=True)
class TimedResult:
    """Hold a result and when it came, in ms after its event's CreateTime."""

    created: int  # the result's CreateTime, before its transaction is committed
    arrived: float
    result: Mapping[str, Any]  # the data of its `lead.synced`


class Results:
    """Collect `lead.synced` events as they arrive, by lead and revision."""

    def __init__(self) -> None:
        self._waited_for: dict[tuple[str, int], asyncio.Future[tuple[float, Record, Mapping[str, Any]]]] = {}

    async def listen(self, tail: Tail) -> None:
        async for record in tail:
            at = time.time() * 1_000
            data = orjson.loads(record.value or b"")["data"]
            self._of(data["lead_id"], data["revision"]).set_result((at, record, data))

    async def of(self, lead: str, revision: int, created_ms: int) -> TimedResult:
        async with asyncio.timeout(result_within_s):
            at, record, data = await self._of(lead, revision)
        return TimedResult(record.timestamp_ms - created_ms, at - created_ms, data)

    def _of(self, lead: str, revision: int) -> "asyncio.Future[tuple[float, Record, Mapping[str, Any]]]":
        return self._waited_for.setdefault((lead, revision), asyncio.get_running_loop().create_future())


@asynccontextmanager
async def listening(config: KafkaConfig) -> AsyncIterator[tuple[Upstream, Results]]:
    async with Upstream(config) as upstream, Tail(config, ["lead.updates"]) as tail:
        results = Results()
        listener = asyncio.create_task(results.listen(tail), name="results")
        try:
            yield upstream, results
        finally:
            listener.cancel()


async def one_by_one(config: KafkaConfig, topic: str, events: Sequence[Published], revision: int) -> list[TimedResult]:
    """Publish each event a while after the result of the one before, so that nothing keeps step."""
    timed, draw = [], Random(topic)
    async with listening(config) as (upstream, results):
        for published in events:
            lead = orjson.loads(published[1])["data"]["lead_id"]
            created_ms = await upstream.publish_one(topic, published)
            timed.append(await results.of(lead, revision, created_ms))
            await asyncio.sleep(0.05 + 0.1 * draw.random())
    return timed[warm_up:]


def sync_latency(testbed: Testbed, quick: bool) -> Report:
    count = 100 if quick else 200
    conditions = [
        f"a Sync of a fresh lead each, lane interactive, one at a time, n = {count} after {warm_up} to warm up",
        f"{len(where)} locations; the sandbox answers after {latency_ms:.0f} ms; the worker does nothing else",
        "from the request record's CreateTime until a read_committed reader has the result",
    ]
    report = Report("sync_latency", testbed.conditions() + conditions)
    with testbed.sandbox(contacts(where, range(2 * (warm_up + count))), latency_ms) as sandbox, testbed.worker(sandbox):
        for what, lacking, calls in (
            ("contact missing, 1 search", one_gap, {"search": 1}),
            ("much missing, search + GET", many_gaps, {"search": 1, "contact": 1}),
        ):
            first = 0 if lacking == one_gap else warm_up + count
            numbers = range(first, first + warm_up + count)
            events = [sync(where[number % len(where)], number, lacking) for number in numbers]
            results = asyncio.run(one_by_one(testbed.config, "sync.requests", events, 1))
            check(results, calls)
            report.figures += figures(what, results, at_most(200))
    return report


def state_latency(testbed: Testbed, quick: bool) -> Report:
    count = 100 if quick else 200
    conditions = [
        f"a change of a lead whose contact was found before, one at a time, n = {count} after {warm_up} to warm up",
        f"{len(where)} locations; no call is made; the worker does nothing else",
        "from the change record's CreateTime until a read_committed reader has the result",
    ]
    report = Report("state_latency", testbed.conditions() + conditions)
    numbers = range(warm_up + count)
    with testbed.sandbox(contacts(where, numbers)) as sandbox, testbed.worker(sandbox) as worker:
        testbed.publish_changes(changes(where, numbers, one_gap), where)
        worker.wait_for_counts(lambda counts: counts.results == len(numbers), 60, "the facts known")
        events = [change(where[number % len(where)], number, 2, one_gap) for number in numbers]
        results = asyncio.run(one_by_one(testbed.config, "lead.changes", events, 2))
        check(results, {})
        report.figures += figures("results from state", results, at_most(50))
    return report


def check(results: Collection[TimedResult], calls: Mapping[str, int]) -> None:
    """Raise BenchFailed if a result isn't as it should be: its time would mean nothing."""
    for one in results:
        if (one.result["outcome"], one.result["calls"]) != ("updated", calls):
            raise BenchFailed(
                f"a result is {one.result['outcome']}, with the calls {one.result['calls']} instead of {calls}"
            )


def figures(what: str, results: Sequence[TimedResult], bar: Bar) -> list[Figure]:
    arrived = [one.arrived for one in results]
    created: list[float] = [one.created for one in results]
    return [
        Figure(f"{what}: p50", percentile(arrived, 0.5), "ms", bar),
        Figure(f"{what}: p99", percentile(arrived, 0.99), "ms"),
        Figure(f"{what}: p50 of its CreateTime", percentile(created, 0.5), "ms"),
    ]
