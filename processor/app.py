"""Build a worker from the settings and run it. This is the only wiring: by hand, no container, no globals."""

import asyncio
import gc
import signal
import socket
import time
from functools import partial
from os import getpid
from uuid import uuid4

from processor import topics
from processor.engine.client import Client
from processor.engine.clock import WallClock
from processor.engine.health import bind_port, health_app, serve_health
from processor.engine.membership import Membership
from processor.engine.ports import Ports
from processor.engine.runner import Ended, run
from processor.engine.state_file import StateFolder
from processor.engine.supervisor import supervise
from processor.engine.tokens import BadTokens, Tokens
from processor.kafka import KafkaConfig, KafkaLog, describe_topics, join_group
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
    """Run a worker until SIGTERM or SIGINT. Return the exit code."""
    telemetry = Telemetry(settings.hydrant_log_format, settings.hydrant_log_level)
    telemetry.capture()
    gc.collect()
    gc.freeze()  # what exists by now stays: the collector needn't look at it again
    gc.set_threshold(10_000, 20, 100)  # a turn makes thousands of objects, and hardly a cycle
    with bind_port(settings.hydrant_http_port) as port:
        asyncio.run(_work(settings, telemetry, port))
    return 0


async def _work(settings: Settings, telemetry: Telemetry, port: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config, clock = KafkaConfig(**settings.kafka()), WallClock(telemetry.record)
    partitions = await check_topics(config)
    tokens, join = make_tokens(settings, telemetry), partial(join_group, config)
    async with (
        Client(tokens, clock.now, settings.ghl_base_url) as client,
        Membership(join, config.group_id) as membership,
    ):
        worker = f"{settings.kafka_group_instance_id or socket.gethostname()}-{getpid()}-{uuid4().hex[:8]}"[:128]

        def unready() -> str | None:
            return "stopping" if stop.is_set() else None if membership.joined else "has not joined the group"

        async def run_partition(partition: int, end: asyncio.Event) -> Ended:
            ports = Ports(
                log=lambda: KafkaLog(config, partition, membership.read_to),
                api=client,
                clock=clock,
                open_state=_state_folder(settings, telemetry, clock, partition),
                record=telemetry.record,
            )
            return await run(_setup(settings, worker, partition, partitions), ports, end)

        def report_owned(owned: frozenset[int]) -> None:
            telemetry.record(PartitionsOwned(sorted(owned), len(owned)))

        pages, last_turn_done = health_app(telemetry.exposition, unready), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_health(pages, port, last_turn_done), name="health")
            tasks.create_task(_report_stopping(stop, telemetry), name="stopping")
            try:
                await supervise(membership, run_partition, report_owned, stop)
            finally:
                stop.set()  # also where another worker has taken our place in the group
                last_turn_done.set()  # health was served until the last turn had committed
    telemetry.record(WorkerStopped())


def _setup(settings: Settings, worker: str, partition: int, partitions: int) -> Setup:
    return Setup(
        partition=partition,
        partitions=partitions,
        worker=worker,
        prefix=settings.kafka_topic_prefix,
        rate=Rate(settings.ghl_requests_per_10s, settings.ghl_requests_per_day, settings.ghl_daily_reserve),
        probe_size=settings.hydrant_probe_size,
        job_concurrency=settings.sync_all_concurrency,
        fetch_fields=settings.hydrant_fetch_fields,
    )


def _state_folder(settings: Settings, telemetry: Telemetry, clock: WallClock, partition: int) -> StateFolder:
    def report_discarded(why: str) -> None:
        telemetry.record(StateDiscarded(partition, why))

    name = f"{settings.kafka_topic_prefix}processor-{partition}"
    return StateFolder(settings.hydrant_state_dir, name, clock, report_discarded)


async def _report_stopping(stop: asyncio.Event, telemetry: Telemetry) -> None:
    await stop.wait()
    telemetry.record(WorkerStopping())


async def check_topics(config: KafkaConfig) -> int:
    """Return the number of partitions. Raise WrongSetting unless the topics are as the table defines them."""
    described = await describe_topics(config)
    named = {topics.prefixed(config.prefix, name): details for name, details in described.items()}
    if wrong := topics.mismatches(named, config.prefix):
        raise WrongSetting([*wrong, "`hydrant topics create` makes the missing ones; KAFKA_TOPIC_PREFIX names others"])
    return described["lead.changes"][0]


def make_tokens(settings: Settings, telemetry: Telemetry) -> Tokens:
    """Return one token for all locations, or those of the file. Raise WrongSetting if the file is wrong."""
    if settings.ghl_tokens_file is None:
        return Tokens.one(settings.ghl_token.get_secret_value() if settings.ghl_token else "")

    def report(problem: str) -> None:
        telemetry.record(TokensUnreadable(problem))

    try:
        return Tokens.of_file(settings.ghl_tokens_file, time.monotonic, report)
    except BadTokens as error:
        raise WrongSetting([f"GHL_TOKENS_FILE: {error}"]) from None
