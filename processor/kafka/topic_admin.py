"""Create the topics of the table, and describe those that exist."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from processor.kafka.connection import KafkaConfig, request_timeout_ms, stop_within_s
from processor.kafka.errors import KafkaRefused, reach_kafka
from processor.topics import TOPICS, prefixed

already_exists: Final = 36


async def create_topics(
    config: KafkaConfig, partitions: int, replication: int | None = None
) -> Mapping[str, Literal["created", "exists"]]:
    """Create the topics of the table that don't exist; without `replication` by the broker's default.

    Raises KafkaUnreachable or KafkaRefused.
    """
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
    async with admin_client(config) as admin:
        response = await admin.create_topics(asked, timeout_ms=request_timeout_ms)
        failed = [(name, code, text) for name, code, text in response.topic_errors if code not in (0, already_exists)]
        if failed:
            raise KafkaRefused(
                "; ".join(f"{name}: {text or errors.for_code(code).__name__}" for name, code, text in failed)
            )
        exist = {name for name, code, _ in response.topic_errors if code}
        wanted = {topic.name for topic in asked}
        # the broker learns of them a little later than the controller, and nothing reports when
        while not wanted <= {topic["topic"] for topic in await admin.describe_topics()}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return {topic: "exists" if prefixed(config.prefix, topic) in exist else "created" for topic in TOPICS}


async def describe_topics(config: KafkaConfig) -> Mapping[str, tuple[int, str]]:
    """Return the partitions and `cleanup.policy` of each topic of the table that exists.

    Raises KafkaUnreachable or KafkaRefused.
    """
    async with admin_client(config) as admin:
        # all of them: naming one that is missing would create it on many a broker
        described = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics()}
        there = {
            prefixed(config.prefix, topic): topic for topic in TOPICS if prefixed(config.prefix, topic) in described
        }
        if not there:
            return {}
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": None}) for name in there]
        (response,) = await admin.describe_configs(wanted)
    found = {}
    for code, text, _, name, entries in response.resources:
        if code:
            raise KafkaRefused(f"{name}: {text or errors.for_code(code).__name__}")
        found[there[name]] = described[name], str(entries[0][1])
    return found


async def partition_counts(client: Any, names: Iterable[str]) -> Mapping[str, int]:
    """Return the number of partitions of each topic. Raises KafkaRefused where one is missing."""
    known = await client.fetch_all_metadata()  # of all: naming a missing topic might create it
    counts = {name: len(known.partitions_for_topic(name) or ()) for name in names}
    if missing := [name for name, count in counts.items() if not count]:
        raise KafkaRefused(f"there is no topic {', '.join(missing)}: `hydrant topics create` makes it")
    return counts


@asynccontextmanager
async def admin_client(config: KafkaConfig) -> AsyncIterator[Any]:
    """Yield a started admin client. The body is bounded. Raises KafkaUnreachable or KafkaRefused."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=config.bootstrap, request_timeout_ms=request_timeout_ms, **config.security
    )
    try:
        async with reach_kafka(config):
            await admin.start()
            yield admin
    finally:
        with suppress(Exception):
            async with asyncio.timeout(stop_within_s):
                await admin.close()
