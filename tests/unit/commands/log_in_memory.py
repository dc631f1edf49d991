"""A log in memory, for what commands do over Kafka; `integration/` does it on a real one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig
from processor.topics import home


@dataclass
class Kafka:
    """Twelve partitions of each topic. `answers` says what a worker writes when something is published."""

    there: dict[str, tuple[int, str]] = field(
        default_factory=lambda: {"sync.progress": (12, ""), "location.status": (12, "")}
    )
    records: list[Record] = field(default_factory=list)
    answers: Callable[[Record], Sequence[Record]] = lambda _: ()
    created: list[tuple[int, int | None]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, topic: str, key: str, value: bytes | None, partition: int | None = None, at_ms: int = 0) -> Record:
        """To the home of its key, unless told where."""
        where = home(key, 12) if partition is None else partition
        record = Record(topic, where, len(self.records), at_ms, key.encode(), value)
        self.records.append(record)
        self.arrived.set()
        return record

    async def publish_record(self, config: KafkaConfig, topic: str, key: bytes, value: bytes) -> None:
        assert config.prefix == "staging."
        for one in self.answers(self.write(topic, key.decode(), value)):
            self.write(one.topic, (one.key or b"").decode(), one.value, one.partition, one.timestamp_ms)

    async def describe_topics(self, config: KafkaConfig) -> Mapping[str, tuple[int, str]]:
        return self.there

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
    ) -> "Tail":
        return Tail(self, topics, partition, start, follow)


@dataclass
class Tail:
    kafka: Kafka
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
