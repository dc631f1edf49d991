"""Kafka's log passes the suite of the port, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest

from processor.engine.ports import Log
from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig, KafkaLog, create_topics
from processor.shard.store import OutRecord
from processor.topics import prefixed
from tests.conformance.log_stage import LogStage
from tests.conformance.log_suite import LogSuite
from tests.integration.topic_operations import committed_records, until_decided, upstream_producer
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration


@dataclass
class KafkaTransaction:
    config: KafkaConfig
    producer: Any
    topic: str

    async def commit(self) -> None:
        await self.producer.commit_transaction()
        await until_decided(self.config, self.topic)

    async def abort(self) -> None:
        await self.producer.abort_transaction()
        await until_decided(self.config, self.topic)


class KafkaLogStage(LogStage):
    def __init__(self, config: KafkaConfig, producer: Any, patch: pytest.MonkeyPatch) -> None:
        self.config, self.producer, self.patch = config, producer, patch

    def log(self) -> Log:
        return KafkaLog(self.config, 0)

    async def publish(self, topic: str, *values: bytes) -> None:
        name = prefixed(self.config.prefix, topic)
        await asyncio.gather(*[await self.producer.send(name, value, partition=0) for value in values])

    @asynccontextmanager
    async def transaction(
        self, topic: str, key: bytes | None, value: bytes, *, of_worker: bool = False
    ) -> AsyncIterator[KafkaTransaction]:
        name = "processor.0" if of_worker else "upstream"
        async with upstream_producer(self.config, f"{self.config.prefix}{name}") as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(prefixed(self.config.prefix, topic), value, key, partition=0)
            yield KafkaTransaction(self.config, producer, topic)

    async def committed(self, *topics: str) -> list[Record]:
        return await committed_records(self.config, *topics)

    @asynccontextmanager
    async def refused_record(self) -> AsyncIterator[OutRecord]:
        yield OutRecord("dead.letters", b"loc", bytes(3 * 1024 * 1024))  # larger than the topic allows

    def before_end(self, log: Log, happens: Callable[[], Awaitable[None]]) -> None:
        producer = cast(KafkaLog, log)._producer
        end = producer.commit_transaction

        async def commit_late() -> None:
            await happens()
            await end()

        producer.commit_transaction = commit_late

    @asynccontextmanager
    async def lose_response(self, log: Log) -> AsyncIterator[None]:
        self.patch.setattr("processor.kafka.partition_log.commit_within_s", 1.0)
        cast(KafkaLog, log)._producer.commit_transaction = asyncio.Event().wait
        yield
        self.patch.undo()


class TestKafkaLog(LogSuite):
    @pytest.fixture
    async def stage(
        self, broker: Broker, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[LogStage]:
        config = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
        await create_topics(config, 3, 1)
        async with upstream_producer(config) as producer:
            yield KafkaLogStage(config, producer, monkeypatch)
