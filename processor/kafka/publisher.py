"""Writing into topics as an upstream does: for commands, the demo and tests."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from processor.kafka.config import KafkaConfig, request_timeout_ms
from processor.kafka.refusals import reaching
from processor.kafka.stopping import stop
from processor.kafka.topics import partition_counts
from processor.shard.state import Out
from processor.topics import message_max_bytes, prefixed


class Publisher:
    """An upstream's producer: idempotent, on all replicas, in order. `async with`; raises Unreachable or Refused."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: Any = None
        self._known: set[str] = set()  # topics that are there

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._config.bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_request_size=message_max_bytes,
            request_timeout_ms=request_timeout_ms,
            **self._config.security,
        )
        try:
            async with reaching(self._config):
                await self._producer.start()
        except BaseException:
            await stop(self._producer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._producer)

    async def publish(self, records: Sequence[Out]) -> None:
        """Each to the partition it names, else to the home of its key. Returns once all of them are in the log."""
        async with reaching(self._config):
            names = {out.topic: prefixed(self._config.prefix, out.topic) for out in records}
            if unknown := set(names.values()) - self._known:
                self._known |= set(await partition_counts(self._producer.client, unknown))
            sent = [
                await self._producer.send(
                    names[out.topic], out.value, out.key, out.partition, headers=list(out.headers)
                )
                for out in records
            ]
            await asyncio.gather(*sent)


async def publish(
    config: KafkaConfig, topic: str, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """One record, to the home of its key. Raises Unreachable or Refused."""
    async with Publisher(config) as publisher:
        await publisher.publish([Out(topic, key, value, tuple(headers))])
