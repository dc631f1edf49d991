"""Topics under a worker: what operators, retention and upstreams do to them, and what they hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig, KafkaLog, KafkaRefused, Tail, admin_client, create_topics
from processor.topics import prefixed

isolations = "read_committed", "read_uncommitted"


async def delete_records(config: KafkaConfig, topic: str, partition: int, before: int) -> None:
    """Let the log begin at `before` from now on, as retention would."""
    async with admin_client(config) as admin:
        await admin.delete_records({TopicPartition(prefixed(config.prefix, topic), partition): RecordsToDelete(before)})


async def recreate_topic(config: KafkaConfig, topic: str, partitions: int) -> None:
    """Delete a topic and create it again. Deleting goes on in the background, so creating may fail for a while."""
    name = prefixed(config.prefix, topic)
    async with admin_client(config) as admin:
        await admin.delete_topics([name])
        while name in await admin.list_topics():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        while True:
            with suppress(KafkaRefused):
                await create_topics(config, partitions, 1)
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def opened_log(config: KafkaConfig, partition: int = 0) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(config, partition)
    try:
        await log.open()
        await log.assign({})
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def upstream_producer(config: KafkaConfig, transactional_id: str | None = None) -> AsyncIterator[Any]:
    """Yield a producer that is not ours."""
    producer = AIOKafkaProducer(bootstrap_servers=config.bootstrap, transactional_id=transactional_id)
    await producer.start()
    try:
        yield producer
    finally:
        async with asyncio.timeout(5):
            await producer.stop()


async def until_decided(config: KafkaConfig, *topics: str) -> None:
    """Wait until no transaction is open there: Kafka responds to a commit before it has written all its markers."""
    every = [TopicPartition(prefixed(config.prefix, topic), partition) for topic in topics for partition in range(3)]
    stable, all_ = (AIOKafkaConsumer(bootstrap_servers=config.bootstrap, isolation_level=level) for level in isolations)
    await stable.start()
    await all_.start()
    while await stable.end_offsets(every) != await all_.end_offsets(every):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await stable.stop()
    await all_.stop()


async def committed_records(config: KafkaConfig, *topics: str) -> list[Record]:
    """Return all committed records of three partitions, without identity rows."""
    async with asyncio.timeout(20):
        await until_decided(config, *topics)
        async with Tail(config, topics, start="start", follow=False) as tail:
            return [record async for record in tail if record.key != b"identity"]
