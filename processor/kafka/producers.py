"""Write to Kafka: a partition's transactions in batches, and records of an upstream for commands and tests."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from processor.kafka.changelog import changelog_topic
from processor.kafka.connection import KafkaConfig, request_timeout_ms, stop_client
from processor.kafka.errors import reach_kafka
from processor.kafka.topic_admin import partition_counts
from processor.shard.store import OutRecord
from processor.topics import message_max_bytes, prefixed

batch_bytes: Final = 1024 * 1024  # trap: a batch is limited, so a large turn is split; a larger record goes alone
transaction_timeout_ms: Final = 30_000  # longer than a commit may take: the coordinator's time-out looks like a fence


def transactional_producer(config: KafkaConfig, transactional_id: str) -> Any:
    """Return a partition's producer, not started. Starting it fences any zombie and ends its transaction."""
    return AIOKafkaProducer(
        bootstrap_servers=config.bootstrap,
        client_id=transactional_id,
        transactional_id=transactional_id,  # and with it idempotent
        acks="all",
        compression_type=None,  # gzip, at aiokafka's level 9, costs a large turn twice the CPU of its whole commit
        max_batch_size=batch_bytes,
        linger_ms=0,
        request_timeout_ms=request_timeout_ms,
        transaction_timeout_ms=transaction_timeout_ms,
        **config.security,
    )


def fill_batches(
    producer: Any, prefix: str, partition: int, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]
) -> list[tuple[tuple[str, int], Any]]:
    """Return the batches of one transaction, rows last: one per topic and partition, more where one is full.

    Trap: a send per record costs ten times as much.
    """
    batches: list[tuple[tuple[str, int], Any]] = []
    filling: dict[tuple[str, int], Any] = {}
    for topic, to, key, value, headers, timestamp_ms in _entries(partition, records, rows):
        at = prefixed(prefix, topic), to
        entry = {"key": key, "value": value, "headers": headers, "timestamp": timestamp_ms}
        if at not in filling or filling[at].append(**entry) is None:
            filling[at] = producer.create_batch()
            filling[at].append(**entry)  # the first one fits, whatever its size
            batches.append((at, filling[at]))
    return batches


def _entries(
    partition: int, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]
) -> Iterator[tuple[str, int, bytes, bytes | None, list[tuple[str, bytes]], int | None]]:
    for out in records:
        to = partition if out.partition is None else out.partition
        yield out.topic, to, out.key, out.value, list(out.headers), out.timestamp_ms
    for key, value in rows:
        yield changelog_topic, partition, key.encode(), value, [], None


class Publisher:
    """An upstream's producer: idempotent, on all replicas, in order. `async with` starts and stops it.

    Raises KafkaUnreachable or KafkaRefused.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: Any = None
        self._known: set[str] = set()  # topics that exist

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
            async with reach_kafka(self._config):
                await self._producer.start()
        except BaseException:
            await stop_client(self._producer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop_client(self._producer)

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Publish each record to its named partition, else to the home of its key. Returns once all are in the log."""
        async with reach_kafka(self._config):
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


async def publish_record(
    config: KafkaConfig, topic: str, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """Publish one record to the home of its key. Raises KafkaUnreachable or KafkaRefused."""
    async with Publisher(config) as publisher:
        await publisher.publish([OutRecord(topic, key, value, tuple(headers))])
