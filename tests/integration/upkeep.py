"""What operators and retention do to topics under a worker."""

import asyncio
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from processor.kafka import KafkaConfig, KafkaRefused, admin_client, create_topics
from processor.topics import prefixed


async def cut(config: KafkaConfig, topic: str, partition: int, before: int) -> None:
    """The log begins there from now on, as retention would have it."""
    async with admin_client(config) as admin:
        await admin.delete_records({TopicPartition(prefixed(config.prefix, topic), partition): RecordsToDelete(before)})


async def make_anew(config: KafkaConfig, topic: str, partitions: int) -> None:
    """Deleting goes on in the background, so the new one may be refused for a while."""
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
