"""Kafka in memory, for the commands' operations; `tests/integration` runs the commands on a real one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig
from processor.topics import home


@dataclass
class KafkaInMemory:
    """Twelve partitions of each topic. `worker` returns the records that a worker writes after a request."""

    topics: dict[str, tuple[int, str]] = field(
        default_factory=lambda: {"sync.progress": (12, ""), "location.status": (12, "")}
    )
    records: list[Record] = field(default_factory=list)
    worker: Callable[[Record], Sequence[Record]] = lambda _: ()
    created: list[tuple[int, int | None]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, topic: str, key: str, value: bytes | None, partition: int | None = None, at_ms: int = 0) -> Record:
        """Append a record to the home partition of its key, or to the given one."""
        target = home(key, 12) if partition is None else partition
        record = Record(topic, target, len(self.records), at_ms, key.encode(), value)
        self.records.append(record)
        self.arrived.set()
        return record

    async def publish_record(self, config: KafkaConfig, topic: str, key: bytes, value: bytes) -> None:
        assert config.prefix == "staging."
        for record in self.worker(self.write(topic, key.decode(), value)):
            self.write(record.topic, (record.key or b"").decode(), record.value, record.partition, record.timestamp_ms)

    async def describe_topics(self, config: KafkaConfig) -> Mapping[str, tuple[int, str]]:
        return self.topics

    async def create_topics(self, config: KafkaConfig, partitions: int, replication: int | None) -> Mapping[str, str]:
        self.created.append((partitions, replication))
        return {"lead.changes": "created"}

    def tail(
        self,
        config: KafkaConfig,
        topics: Sequence[str],
        *,
        partition: int | None = None,
        start: str = "end",
        follow: bool = True,
    ) -> "TailInMemory":
        return TailInMemory(self, topics, partition, start, follow)


@dataclass
class TailInMemory:
    kafka: KafkaInMemory
    topics: Sequence[str]
    partition: int | None
    start: str
    follow: bool

    async def __aenter__(self) -> Self:
        self.at, self.end = (0, len(self.kafka.records)) if self.start == "start" else (len(self.kafka.records), 0)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Record]:
        while self.follow or self.at < self.end:
            while self.at >= len(self.kafka.records):
                self.kafka.arrived.clear()
                await self.kafka.arrived.wait()
            record, self.at = self.kafka.records[self.at], self.at + 1
            if record.topic in self.topics and self.partition in (None, record.partition):
                yield record
