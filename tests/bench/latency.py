"""How soon a lone event is answered: from the record's CreateTime to its result in the hands of a `read_committed` reader."""

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
from tests.bench.stage import Failed, Stage
from tests.bench.upstream import Upstream

latency_ms: Final = 50.0  # of the sandbox
where: Final = locations(24)
warm_up: Final = 2 * len(where)  # not counted: connections open, code is warm
answer_within_s: Final = 10.0
one_gap: Final = ("contact_id",)
many_gaps: Final = ("contact_id", "phone", "first_name", "last_name", "company_name", "website", "timezone")


@dataclass(frozen=True, slots=True)
class Answered:
    """Ms after the request's CreateTime."""

    created: int  # the result's CreateTime, before its transaction is committed
    arrived: float
    result: Mapping[str, Any]  # the data of its `lead.synced`


class Results:
    """`lead.synced` as they arrive, by lead and revision."""

    def __init__(self) -> None:
        self._waited_for: dict[tuple[str, int], asyncio.Future[tuple[float, Record, Mapping[str, Any]]]] = {}

    async def listen(self, tail: Tail) -> None:
        async for record in tail:
            at = time.time() * 1_000
            data = orjson.loads(record.value or b"")["data"]
            self._of(data["lead_id"], data["revision"]).set_result((at, record, data))

    async def of(self, lead: str, revision: int, asked_ms: int) -> Answered:
        async with asyncio.timeout(answer_within_s):
            at, record, data = await self._of(lead, revision)
        return Answered(record.timestamp_ms - asked_ms, at - asked_ms, data)

    def _of(self, lead: str, revision: int) -> "asyncio.Future[tuple[float, Record, Mapping[str, Any]]]":
        return self._waited_for.setdefault((lead, revision), asyncio.get_running_loop().create_future())


@asynccontextmanager
async def listening(config: KafkaConfig) -> AsyncIterator[tuple[Upstream, Results]]:
    async with Upstream(config) as upstream, Tail(config, ["lead.updates"]) as tail:
        results = Results()
        hearing = asyncio.create_task(results.listen(tail), name="results")
        try:
            yield upstream, results
        finally:
            hearing.cancel()


async def one_by_one(config: KafkaConfig, topic: str, asked: Sequence[Published], revision: int) -> list[Answered]:
    """Each is published once the one before it was answered, a while later, so that nothing keeps step."""
    answered, draw = [], Random(topic)
    async with listening(config) as (upstream, results):
        for published in asked:
            lead = orjson.loads(published[1])["data"]["lead_id"]
            asked_ms = await upstream.one(topic, published)
            answered.append(await results.of(lead, revision, asked_ms))
            await asyncio.sleep(0.05 + 0.1 * draw.random())
    return answered[warm_up:]


def sync_latency(stage: Stage, quick: bool) -> Report:
    count = 100 if quick else 200
    conditions = [
        f"a Sync of a fresh lead each, lane interactive, one at a time, n = {count} after {warm_up} to warm up",
        f"{len(where)} locations; the sandbox answers after {latency_ms:.0f} ms; the worker does nothing else",
        "from the request record's CreateTime until a read_committed reader has the result",
    ]
    report = Report("sync_latency", stage.conditions() + conditions)
    with stage.sandbox(contacts(where, range(2 * (warm_up + count))), latency_ms) as sandbox, stage.worker(sandbox):
        for what, lacking, calls in (
            ("contact missing, 1 search", one_gap, {"search": 1}),
            ("much missing, search + GET", many_gaps, {"search": 1, "contact": 1}),
        ):
            first = 0 if lacking == one_gap else warm_up + count
            numbers = range(first, first + warm_up + count)
            asked = [sync(where[number % len(where)], number, lacking) for number in numbers]
            answered = asyncio.run(one_by_one(stage.config, "sync.requests", asked, 1))
            check(answered, calls)
            report.figures += figures(what, answered, at_most(200))
    return report


def state_latency(stage: Stage, quick: bool) -> Report:
    count = 100 if quick else 200
    conditions = [
        f"a change of a lead whose contact was learned before, one at a time, n = {count} after {warm_up} to warm up",
        f"{len(where)} locations; no call is made; the worker does nothing else",
        "from the change record's CreateTime until a read_committed reader has the result",
    ]
    report = Report("state_latency", stage.conditions() + conditions)
    numbers = range(warm_up + count)
    with stage.sandbox(contacts(where, numbers)) as sandbox, stage.worker(sandbox) as worker:
        stage.publish(changes(where, numbers, one_gap), where)
        worker.until(lambda counted: counted.results == len(numbers), 60, "the facts learned")
        asked = [change(where[number % len(where)], number, 2, one_gap) for number in numbers]
        answered = asyncio.run(one_by_one(stage.config, "lead.changes", asked, 2))
        check(answered, {})
        report.figures += figures("answered from state", answered, at_most(50))
    return report


def check(answered: Collection[Answered], calls: Mapping[str, int]) -> None:
    """Only what was answered as it should be tells how long that takes."""
    for one in answered:
        if (one.result["outcome"], one.result["calls"]) != ("updated", calls):
            raise Failed(
                f"a result is {one.result['outcome']}, with the calls {one.result['calls']} instead of {calls}"
            )


def figures(what: str, answered: Sequence[Answered], bar: Bar) -> list[Figure]:
    arrived = [one.arrived for one in answered]
    created: list[float] = [one.created for one in answered]
    return [
        Figure(f"{what}: p50", percentile(arrived, 0.5), "ms", bar),
        Figure(f"{what}: p99", percentile(arrived, 0.99), "ms"),
        Figure(f"{what}: p50 of its CreateTime", percentile(created, 0.5), "ms"),
    ]
