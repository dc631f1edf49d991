"""The stage on which the suite of the `Log` port runs, and what its tests share."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from processor.engine.ports import Log, Restored
from processor.events.cloudevents import Record
from processor.shard.store import OutRecord

changelog = "processor.changelog"


class OpenTransaction(Protocol):
    async def commit(self) -> None: ...
    async def abort(self) -> None: ...


class LogStage(ABC):
    """A Kafka with three partitions per topic, and the means to disturb partition 0."""

    @abstractmethod
    def log(self) -> Log:
        """Return a log of partition 0 that is not open."""

    @abstractmethod
    async def publish(self, topic: str, *values: bytes) -> None:
        """Publish to partition 0, as an upstream does."""

    @abstractmethod
    def transaction(
        self, topic: str, key: bytes | None, value: bytes, *, of_worker: bool = False
    ) -> AbstractAsyncContextManager[OpenTransaction]:
        """Write a record in an open transaction: of an upstream, or of the partition's own worker."""

    @abstractmethod
    async def committed(self, *topics: str) -> list[Record]:
        """Return the committed records of all partitions, without identity rows."""

    @abstractmethod
    def refused_record(self) -> AbstractAsyncContextManager[OutRecord]:
        """Yield a record that the broker refuses."""

    @abstractmethod
    def before_end(self, log: Log, happens: Callable[[], Awaitable[None]]) -> None:
        """Let something happen between the records of the log's next transaction and its end."""

    @abstractmethod
    def lose_response(self, log: Log) -> AbstractAsyncContextManager[None]:
        """Let the response to the end of the log's next transaction get lost."""


@asynccontextmanager
async def opened(stage: LogStage, **positions: int) -> AsyncIterator[Log]:
    log = stage.log()
    try:
        await log.open()
        await log.assign(positions)
        yield log
    finally:
        await log.close()


async def restored(log: Log, start: int, end: int) -> list[Restored]:
    """Return the slices of a restore. Each one brings it further."""
    async with asyncio.timeout(10):
        slices = [slice_ async for slice_ in log.restore(start, end)]
    positions = [start, *(slice_.position for slice_ in slices)]
    assert positions == sorted(set(positions))
    return slices


def rows_of(slices: Sequence[Restored]) -> list[tuple[str, bytes | None]]:
    return [row for slice_ in slices for row in slice_.rows if row[0] != "identity"]


async def polled(log: Log, number: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(10):
        while len(records) < number:
            records += await log.poll(400)
    return records


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def result(value: bytes) -> OutRecord:
    return OutRecord("lead.updates", b"loc", value)
