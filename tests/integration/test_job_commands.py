"""The commands of jobs as programs on a real Kafka, with a worker that only says its lines."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from processor.events.cloudevents import encode
from processor.kafka import KafkaConfig, Publisher, Tail, create_topics
from processor.shard.store import OutRecord
from processor.topics import home
from tests.lab.kafka_node import Broker

partitions = 3
within_s = 60

Data = dict[str, Any]


@pytest.fixture
async def config(broker: Broker, topic_prefix: str) -> KafkaConfig:
    found = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
    await create_topics(found, partitions, 1)
    return found


def word(kind: str, request: Data, partition: int | None = None, **data: object) -> OutRecord:
    """What a worker says of the job that was asked for."""
    said = {"request_id": request["request_id"], "location_id": request.get("location_id"), **data}
    if partition is not None:
        said |= {"partition": partition, "partitions": partitions}
    key = said["location_id"] or said["request_id"]
    where = home(key, partitions) if partition is None else partition
    value = encode(f"sync.{kind}", said, id="1", source="hydrant/x", subject="s", location=key, time_ms=0)
    return OutRecord("sync.progress", key.encode(), value, partition=where)


@asynccontextmanager
async def worker(config: KafkaConfig, answer: Callable[[str, Data], Sequence[OutRecord]]) -> AsyncIterator[list[Data]]:
    """Answers each request as told. Yields the data of those that came."""
    requests: list[Data] = []

    async def work(tail: Tail, publisher: Publisher) -> None:
        async for record in tail:
            event = orjson.loads(record.value or b"")
            requests.append(event["data"])
            await publisher.publish(answer(event["type"], event["data"]))

    async with Publisher(config) as publisher, Tail(config, ["sync.requests"]) as tail:
        working = asyncio.create_task(work(tail, publisher))
        yield requests
        working.cancel()
        await asyncio.wait([working])


@asynccontextmanager
async def started(config: KafkaConfig, *arguments: str) -> AsyncIterator[Process]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "GHL_", "HYDRANT_"))}
    environ |= {"KAFKA_BOOTSTRAP_SERVERS": config.bootstrap, "KAFKA_TOPIC_PREFIX": config.prefix}
    command = [sys.executable, "-m", "processor.cli", *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def hydrant(config: KafkaConfig, *arguments: str) -> tuple[int | None, list[str]]:
    """Exit code and lines of a command."""
    async with asyncio.timeout(within_s), started(config, *arguments) as process:
        out, _ = await process.communicate()
        return process.returncode, out.decode().splitlines()


def events(lines: Sequence[str]) -> list[tuple[str, int]]:
    """Type and leads done, of lines of JSON."""
    return [(told["type"], told["leads_done"]) for told in map(json.loads, lines)]


async def test_a_sync_all_is_watched_to_its_end_and_found_again(config: KafkaConfig) -> None:
    """Watched again, it shows what was said before, and nobody is asked for it a second time."""

    def answer(kind: str, asked: Data) -> Sequence[OutRecord]:
        return [
            word("started", asked, leads_total=2, leads_done=0),
            word("completed", {**asked, "request_id": "another"}, leads_done=9),
            word("progressed", asked, leads_done=1),
            word("completed", asked, leads_total=2, leads_done=2, failed=0),
        ]

    watch = "sync-all", "L1", "--watch", "--json", "--request-id", "R"
    async with worker(config, answer) as requests:
        first, again = await hydrant(config, *watch), await hydrant(config, *watch)

    told = [("sync.started", 0), ("sync.progressed", 1), ("sync.completed", 2)]
    assert [(0, told), (0, told)] == [(code, events(lines)) for code, lines in (first, again)]
    assert [{"request_id": "R", "location_id": "L1", "include_messages": True, "dry_run": False}] == requests


async def test_a_backfill_is_watched_over_all_partitions(config: KafkaConfig) -> None:
    def answer(kind: str, asked: Data) -> Sequence[OutRecord]:
        return [word("completed", asked, at, leads_total=1 + at, leads_done=1 + at) for at in range(partitions)]

    async with worker(config, answer):
        code, lines = await hydrant(config, "backfill", "--watch", "--json")

    told = events(lines)
    assert (0, [("sync.completed", done) for done in (1, 2, 3)], ("sync.completed", 6)) == (
        code,
        sorted(told[:-1]),
        told[-1],
    )


async def test_whoever_leaves_can_cancel_from_elsewhere(config: KafkaConfig) -> None:
    """Ctrl-C leaves the job running; a cancel ends it, and says so also when it is asked again."""

    def answer(kind: str, asked: Data) -> Sequence[OutRecord]:
        if kind == "sync.cancel.requested":
            return [word("cancelled", asked, leads_total=10, leads_done=4)]
        return [word("started", asked, leads_total=10, leads_done=3)]

    async with worker(config, answer) as requests, asyncio.timeout(within_s):
        async with started(config, "sync-all", "L1", "--watch", "--json", "--request-id", "R") as watching:
            assert watching.stdout is not None
            first = await watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            _, told = await watching.communicate()
        left = list(requests)
        cancelled = [await hydrant(config, "cancel", "R", "L1") for _ in range(2)]

    assert [("sync.started", 3)] == events([first.decode()])
    assert (1, 1) == (watching.returncode, len(left))
    assert "hydrant: cancel it: hydrant cancel R L1" == told.decode().splitlines()[-1]
    assert [(0, ["cancelled: 4 of 10 leads (40 %) done"])] * 2 == cancelled


async def test_a_dry_run_shows_its_plan(config: KafkaConfig) -> None:
    def answer(kind: str, asked: Data) -> Sequence[OutRecord]:
        plan: Data = {"plan": "probe", "leads_total": 10, "calls_planned": 2}
        return [word("started", asked, **plan), word("cancelled", asked, **plan, reason="dry_run")]

    async with worker(config, answer) as requests:
        code, lines = await hydrant(config, "sync-all", "L1", "--dry-run", "--json")

    told = json.loads(lines[-1])
    assert (0, 1, "probe", 2) == (code, len(lines), told["plan"], told["calls_planned"])
    assert [True] == [one["dry_run"] for one in requests]
