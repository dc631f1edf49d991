"""Do to topics what operators and retention do to them under a worker."""

import asyncio
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from processor.kafka import KafkaConfig, Refused, administrating, create_topics
from processor.topics import prefixed


async def delete_records(config: KafkaConfig, topic: str, partition: int, before: int) -> None:
    """Let the log begin at this offset from now on, as retention does."""
    async with administrating(config) as admin:
        await admin.delete_records({TopicPartition(prefixed(config.prefix, topic), partition): RecordsToDelete(before)})


async def recreate_topic(config: KafkaConfig, topic: str, partitions: int) -> None:
    """Delete and create a topic. Deleting goes on in the background, so the new one may be refused for a while."""
    name = prefixed(config.prefix, topic)
    async with administrating(config) as admin:
        await admin.delete_topics([name])
        while name in await admin.list_topics():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        while True:
            with suppress(Refused):
                await create_topics(config, partitions, 1)
                return
            await asyncio.sleep(0.1)
