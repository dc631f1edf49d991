"""The only wiring: settings in, a working worker out. By hand; no container, no globals."""

import asyncio
import gc
import signal
import socket
import time
from os import getpid
from uuid import uuid4

from processor import topics
from processor.engine.client import Client
from processor.engine.clock import WallClock
from processor.engine.health import health, listen, serve
from processor.engine.membership import Membership
from processor.engine.ports import Ports
from processor.engine.runner import Ended, run
from processor.engine.state_file import StateFolder
from processor.engine.supervisor import supervise
from processor.engine.tokens import BadTokens, Tokens
from processor.kafka import KafkaConfig, KafkaLog, describe_topics
from processor.ratelimit.budget import Rate
from processor.settings import Settings, WrongSetting
from processor.shard.setup import Setup
from processor.telemetry.catalogue import (
    PartitionsOwned,
    StateDiscarded,
    TokensUnreadable,
    WorkerStopped,
    WorkerStopping,
)
from processor.telemetry.recorder import Telemetry


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT. Returns the exit code."""
    telemetry = Telemetry(settings.hydrant_log_format, settings.hydrant_log_level)
    telemetry.capture()
    gc.collect()
    gc.freeze()  # what is there by now stays: the collector needn't look at it again
    gc.set_threshold(10_000, 20, 100)  # a turn makes thousands of objects, and hardly a cycle
    with listen(settings.hydrant_http_port) as port:
        asyncio.run(work(settings, telemetry, port))
    return 0


async def work(settings: Settings, telemetry: Telemetry, port: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    config, clock = KafkaConfig(**settings.kafka()), WallClock(telemetry.record)
    partitions = await check_topics(config)
    worker = f"{settings.kafka_group_instance_id or socket.gethostname()}-{getpid()}-{uuid4().hex[:8]}"[:128]
    tokens = make_tokens(settings, telemetry)
    async with Client(tokens, clock.now, settings.ghl_base_url) as client, Membership(config) as membership:

        def unready() -> str | None:
            return "stopping" if stop.is_set() else None if membership.joined else "has not joined the group"

        async def run_partition(partition: int, end: asyncio.Event) -> Ended:
            setup = Setup(
                partition=partition,
                partitions=partitions,
                worker=worker,
                prefix=config.prefix,
                rate=Rate(settings.ghl_requests_per_10s, settings.ghl_requests_per_day, settings.ghl_daily_reserve),
                probe_size=settings.hydrant_probe_size,
                job_concurrency=settings.sync_all_concurrency,
                fetch_fields=settings.hydrant_fetch_fields,
            )
            name = f"{config.prefix}processor-{partition}"

            def discarded(why: str) -> None:
                telemetry.record(StateDiscarded(partition, why))

            ports = Ports(
                log=lambda: KafkaLog(config, partition, membership.read_to),
                api=client,
                clock=clock,
                open_state=StateFolder(settings.hydrant_state_dir, name, clock, discarded),
                note=telemetry.record,
            )
            return await run(setup, ports, end)

        def owns(owned: frozenset[int]) -> None:
            telemetry.record(PartitionsOwned(sorted(owned), len(owned)))

        left = asyncio.Event()  # health is told until the last turn has committed
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(health(telemetry.exposition, unready), port, left), name="health")
            tasks.create_task(record_stopping(stop, telemetry), name="stopping")
            try:
                await supervise(membership, run_partition, owns, stop)
            finally:
                stop.set()  # also where another worker has taken our place in the group
                left.set()
    telemetry.record(WorkerStopped())


async def record_stopping(stop: asyncio.Event, telemetry: Telemetry) -> None:
    await stop.wait()
    telemetry.record(WorkerStopping())


async def check_topics(config: KafkaConfig) -> int:
    """The number of partitions. Raises WrongSetting when the topics aren't what the table says."""
    described = await describe_topics(config)
    named = {topics.prefixed(config.prefix, name): found for name, found in described.items()}
    if wrong := topics.mismatches(named, config.prefix):
        raise WrongSetting([*wrong, "`hydrant topics create` makes the missing ones; KAFKA_TOPIC_PREFIX names others"])
    return described["lead.changes"][0]


def make_tokens(settings: Settings, telemetry: Telemetry) -> Tokens:
    """One token for all locations, or the file's. Raises WrongSetting."""
    if settings.ghl_tokens_file is None:
        return Tokens.one(settings.ghl_token.get_secret_value() if settings.ghl_token else "")

    def report(problem: str) -> None:
        telemetry.record(TokensUnreadable(problem))

    try:
        return Tokens.of_file(settings.ghl_tokens_file, time.monotonic, report)
    except BadTokens as error:
        raise WrongSetting([f"GHL_TOKENS_FILE: {error}"]) from None
