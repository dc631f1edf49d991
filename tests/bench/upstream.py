"""Publish as upstream does: one event at a time, or as many as Kafka takes."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Self

from aiokafka import AIOKafkaProducer  # ships no types

from processor.kafka import KafkaConfig
from tests.bench.leads import Published

batch_bytes = 512 * 1024


class Upstream:
    """Publish each record with its location as the key, to the location's home partition."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config

    async def __aenter__(self) -> Self:
        self._producer: Any = AIOKafkaProducer(
            bootstrap_servers=self._config.bootstrap, acks="all", enable_idempotence=True, max_batch_size=batch_bytes
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def publish_one(self, topic: str, published: Published) -> int:
        """Publish one event. Return its CreateTime in ms, taken before anything else is done."""
        location, value = published
        at = now_ms()
        await self._producer.send_and_wait(self._config.prefix + topic, value, location.encode(), timestamp_ms=at)
        return at

    async def flood(self, topic: str, records: Iterable[Published], home: dict[str, int]) -> int:
        """Publish in few large batches; a send a record costs ten times as much. Return how many records."""
        name, filling, sent, count = self._config.prefix + topic, dict[int, Any](), [], 0
        for location, value in records:
            partition, entry = home[location], {"key": location.encode(), "value": value, "timestamp": now_ms()}
            if partition not in filling or filling[partition].append(**entry) is None:
                if partition in filling:
                    sent.append(await self._producer.send_batch(filling[partition], name, partition=partition))
                filling[partition] = self._producer.create_batch()
                filling[partition].append(**entry)
            count += 1
        for partition, batch in filling.items():
            sent.append(await self._producer.send_batch(batch, name, partition=partition))
        await asyncio.gather(*sent)
        return count


def now_ms() -> int:
    return time.time_ns() // 1_000_000
