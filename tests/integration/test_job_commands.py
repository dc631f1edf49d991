"""Test the commands of jobs as programs on a real Kafka, with a worker that only publishes a script."""

import asyncio
import json
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
from tests.lab.harness.process import environment
from tests.lab.kafka_node import Broker

partitions = 3
within_s = 60

Data = dict[str, Any]


@pytest.fixture
async def config(broker: Broker, topic_prefix: str) -> KafkaConfig:
    found = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
    await create_topics(found, partitions, 1)
    return found


def progress(kind: str, request: Data, partition: int | None = None, **data: object) -> OutRecord:
    """Return what a worker publishes about the requested job."""
    body = {"request_id": request["request_id"], "location_id": request.get("location_id"), **data}
    if partition is not None:
        body |= {"partition": partition, "partitions": partitions}
    key = body["location_id"] or body["request_id"]
    where = home(key, partitions) if partition is None else partition
    value = encode(f"sync.{kind}", body, id="1", source="hydrant/x", subject="s", location=key, time_ms=0)
    return OutRecord("sync.progress", key.encode(), value, partition=where)


@asynccontextmanager
async def worker(config: KafkaConfig, script: Callable[[str, Data], Sequence[OutRecord]]) -> AsyncIterator[list[Data]]:
    """Publish the script of each request. Yield the data of the requests so far."""
    requests: list[Data] = []

    async def work(tail: Tail, publisher: Publisher) -> None:
        async for record in tail:
            event = orjson.loads(record.value or b"")
            requests.append(event["data"])
            await publisher.publish(script(event["type"], event["data"]))

    async with Publisher(config) as publisher, Tail(config, ["sync.requests"]) as tail:
        working = asyncio.create_task(work(tail, publisher))
        yield requests
        working.cancel()
        await asyncio.wait([working])


@asynccontextmanager
async def started(config: KafkaConfig, *arguments: str) -> AsyncIterator[Process]:
    environ = environment() | {"KAFKA_BOOTSTRAP_SERVERS": config.bootstrap, "KAFKA_TOPIC_PREFIX": config.prefix}
    command = [sys.executable, "-m", "processor.cli", *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def hydrant(config: KafkaConfig, *arguments: str) -> tuple[int | None, list[str]]:
    """Return exit code and lines of a command."""
    async with asyncio.timeout(within_s), started(config, *arguments) as process:
        out, _ = await process.communicate()
        return process.returncode, out.decode().splitlines()


def events(lines: Sequence[str]) -> list[tuple[str, int]]:
    """Return type and leads done of lines of JSON."""
    return [(line["type"], line["leads_done"]) for line in map(json.loads, lines)]


async def test_a_sync_all_is_watched_to_its_end_and_found_again(config: KafkaConfig) -> None:
    """Watched again, it shows the same events, and no second request is published."""

    def script(kind: str, request: Data) -> Sequence[OutRecord]:
        return [
            progress("started", request, leads_total=2, leads_done=0),
            progress("completed", {**request, "request_id": "another"}, leads_done=9),
            progress("progressed", request, leads_done=1),
            progress("completed", request, leads_total=2, leads_done=2, failed=0),
        ]

    watch = "sync-all", "L1", "--watch", "--json", "--request-id", "R"
    async with worker(config, script) as requests:
        first, again = await hydrant(config, *watch), await hydrant(config, *watch)

    found = [("sync.started", 0), ("sync.progressed", 1), ("sync.completed", 2)]
    assert [(0, found), (0, found)] == [(code, events(lines)) for code, lines in (first, again)]
    assert [{"request_id": "R", "location_id": "L1", "include_messages": True, "dry_run": False}] == requests


async def test_a_backfill_is_watched_over_all_partitions(config: KafkaConfig) -> None:
    def script(kind: str, request: Data) -> Sequence[OutRecord]:
        return [progress("completed", request, at, leads_total=1 + at, leads_done=1 + at) for at in range(partitions)]

    async with worker(config, script):
        code, lines = await hydrant(config, "backfill", "--watch", "--json")

    found = events(lines)
    assert (0, [("sync.completed", done) for done in (1, 2, 3)], ("sync.completed", 6)) == (
        code,
        sorted(found[:-1]),
        found[-1],
    )


async def test_a_job_can_be_cancelled_by_another_command(config: KafkaConfig) -> None:
    """Ctrl-C leaves the job running; a cancel ends it, and a second cancel prints the same."""

    def script(kind: str, request: Data) -> Sequence[OutRecord]:
        if kind == "sync.cancel.requested":
            return [progress("cancelled", request, leads_total=10, leads_done=4)]
        return [progress("started", request, leads_total=10, leads_done=3)]

    async with worker(config, script) as requests, asyncio.timeout(within_s):
        async with started(config, "sync-all", "L1", "--watch", "--json", "--request-id", "R") as watching:
            assert watching.stdout is not None
            first = await watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            _, errors = await watching.communicate()
        left = list(requests)
        cancelled = [await hydrant(config, "cancel", "R", "L1") for _ in range(2)]

    assert [("sync.started", 3)] == events([first.decode()])
    assert (1, 1) == (watching.returncode, len(left))
    assert "hydrant: cancel it: hydrant cancel R L1" == errors.decode().splitlines()[-1]
    assert [(0, ["cancelled: 4 of 10 leads (40 %) done"])] * 2 == cancelled


async def test_a_dry_run_shows_its_plan(config: KafkaConfig) -> None:
    def script(kind: str, request: Data) -> Sequence[OutRecord]:
        plan: Data = {"plan": "probe", "leads_total": 10, "calls_planned": 2}
        return [progress("started", request, **plan), progress("cancelled", request, **plan, reason="dry_run")]

    async with worker(config, script) as requests:
        code, lines = await hydrant(config, "sync-all", "L1", "--dry-run", "--json")

    found = json.loads(lines[-1])
    assert (0, 1, "probe", 2) == (code, len(lines), found["plan"], found["calls_planned"])
    assert [True] == [one["dry_run"] for one in requests]
