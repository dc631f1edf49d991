"""Making the topics of the table, and telling what is there."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from processor.kafka.config import KafkaConfig, request_timeout_ms
from processor.kafka.refusals import Refused, reaching
from processor.kafka.stopping import stop_within_s
from processor.topics import TOPICS, prefixed

already_exists: Final = 36


async def create_topics(
    config: KafkaConfig, partitions: int, replication: int | None = None
) -> Mapping[str, Literal["created", "exists"]]:
    """The topics of the table that aren't there yet; without `replication` the broker's. Raises Unreachable or
    Refused."""
    asked = [
        NewTopic(
            prefixed(config.prefix, topic.name),
            num_partitions=partitions,
            replication_factor=replication or -1,
            replica_assignments=None if replication else {},  # only so does NewTopic let -1 pass
            topic_configs=topic.configs,
        )
        for topic in TOPICS.values()
    ]
    async with administrating(config) as admin:
        answer = await admin.create_topics(asked, timeout_ms=request_timeout_ms)
        failed = [(name, code, text) for name, code, text in answer.topic_errors if code not in (0, already_exists)]
        if failed:
            raise Refused("; ".join(f"{name}: {text or errors.for_code(code).__name__}" for name, code, text in failed))
        exist = {name for name, code, _ in answer.topic_errors if code}
        wanted = {topic.name for topic in asked}
        # the broker hears of them a little later than the controller, and tells nobody
        while not wanted <= {topic["topic"] for topic in await admin.describe_topics()}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return {topic: "exists" if prefixed(config.prefix, topic) in exist else "created" for topic in TOPICS}


async def describe_topics(config: KafkaConfig) -> Mapping[str, tuple[int, str]]:
    """Those of the table that are there → partitions and `cleanup.policy`. Raises Unreachable or Refused."""
    async with administrating(config) as admin:
        # all of them: naming one that is missing would create it on many a broker
        described = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics()}
        there = {
            prefixed(config.prefix, topic): topic for topic in TOPICS if prefixed(config.prefix, topic) in described
        }
        if not there:
            return {}
        ask = [ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": None}) for name in there]
        (answer,) = await admin.describe_configs(ask)
    found = {}
    for code, text, _, name, entries in answer.resources:
        if code:
            raise Refused(f"{name}: {text or errors.for_code(code).__name__}")
        found[there[name]] = described[name], str(entries[0][1])
    return found


async def partition_counts(client: Any, names: Iterable[str]) -> Mapping[str, int]:
    """Topic → number of partitions. Raises Refused where one is missing: naming it to the broker might create it."""
    known = await client.fetch_all_metadata()
    counts = {name: len(known.partitions_for_topic(name) or ()) for name in names}
    if missing := [name for name, count in counts.items() if not count]:
        raise Refused(f"there is no topic {', '.join(missing)}: `hydrant topics create` makes it")
    return counts


@asynccontextmanager
async def administrating(config: KafkaConfig) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=config.bootstrap, request_timeout_ms=request_timeout_ms, **config.security
    )
    try:
        async with reaching(config):
            await admin.start()
            yield admin
    finally:
        with suppress(Exception):
            async with asyncio.timeout(stop_within_s):
                await admin.close()
