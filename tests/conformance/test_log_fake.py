"""The simulator's log passes the suite of the port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from processor.engine.ports import Log
from processor.events.cloudevents import Record
from processor.shard.store import OutRecord
from tests.conformance.fakes import LivingProcess, undisturbed_kafka
from tests.conformance.log_stage import LogStage
from tests.conformance.log_suite import LogSuite
from tests.simulation.world.broker import Entry, Faults, Kafka, Transaction
from tests.simulation.world.log import Session

for_long_ms = 10**9


@dataclass
class FakeTransaction:
    kafka: Kafka
    transaction: Transaction

    async def commit(self) -> None:
        self.kafka.end(self.transaction, "committed")

    async def abort(self) -> None:
        self.kafka.end(self.transaction, "aborted")


class FakeLogStage(LogStage):
    def __init__(self) -> None:
        self.kafka, self.opened = undisturbed_kafka(), 0

    def log(self) -> Log:
        self.opened += 1
        return Session(self.kafka, LivingProcess(f"worker-{self.opened}"), 0)

    async def publish(self, topic: str, *values: bytes) -> None:
        for value in values:
            await asyncio.sleep(0.002)
            self.kafka.publish(topic, 0, Entry(None, value, (), self.kafka.loop.ms), None)

    @asynccontextmanager
    async def transaction(
        self, topic: str, key: bytes | None, value: bytes, *, of_worker: bool = False
    ) -> AsyncIterator[FakeTransaction]:
        transaction = self.kafka.begin("processor.0" if of_worker else "upstream")
        self.kafka.append(topic, 0, Entry(key, value, (), self.kafka.loop.ms, transaction))
        yield FakeTransaction(self.kafka, transaction)

    async def committed(self, *topics: str) -> list[Record]:
        return [
            Record(topic, partition, offset, entry.timestamp_ms, entry.key, entry.value, entry.headers)
            for topic in topics
            for partition in range(3)
            for offset, entry in self.kafka.committed(topic, partition)
            if entry.key != b"identity"
        ]

    @asynccontextmanager
    async def refused_record(self) -> AsyncIterator[OutRecord]:
        """Yield a record to be committed first: the fake refuses the batch of the first record's topic."""
        self.kafka.faults = Faults(for_long_ms, refused=1.0)
        yield OutRecord("dead.letters", b"loc", b"refused")
        self.kafka.faults = Faults()

    def before_end(self, log: Log, happens: Callable[[], Awaitable[None]]) -> None:
        session = cast(Session, log)
        decide = session._decide

        async def decide_late(
            records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]], position: int
        ) -> int | None:
            await happens()
            return await decide(records, rows, position)

        session._decide = decide_late  # type: ignore[method-assign]  # so that something happens in between

    @asynccontextmanager
    async def lose_response(self, log: Log) -> AsyncIterator[None]:
        self.kafka.faults = Faults(for_long_ms, unknown_outcome=1.0)
        yield
        self.kafka.faults = Faults()


class TestFakeLog(LogSuite):
    @pytest.fixture
    async def stage(self) -> LogStage:
        return FakeLogStage()
