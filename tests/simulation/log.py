"""A Kafka in memory: topics × partitions, transactions with control markers, fencing by epoch, read_committed, latency.

`Kafka` is the broker; `Session` is one worker's side of it, the `Log` port of the runner. A session of a dead process does nothing any
more; what it had sent by then arrives or not, as the kill says.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Final, TypeVar

from processor.engine.ports import Broken, Fenced, Restored
from processor.events.wire import Record
from processor.shard.state import Out
from processor.topics import INPUT_TOPICS

from .loop import Process, VirtualLoop, refuse, settle, start_ms
from .trace import Trace

Answer = TypeVar("Answer")
Headers = tuple[tuple[str, bytes], ...]
changelog: Final = "processor.changelog"
sooner_first: Final = ("sync.requests", *(topic for topic in INPUT_TOPICS if topic != "sync.requests"))
slice_rows: Final = 100  # of a restore: small, so that it can be interrupted
give_up_ms: Final = 5_000  # how long a session waits for a commit whose answer never comes


@dataclass(slots=True)
class Transaction:
    id: str
    state: str = "open"  # open | committed | aborted
    ended: int = 0  # ms since 1970
    first: dict[tuple[str, int], int] = field(default_factory=dict)  # partition → its first offset there


@dataclass(frozen=True, slots=True)
class Entry:
    """What one offset holds: a record, or the marker that ends a transaction."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    transaction: Transaction | None = None
    marker: bool = False

    @property
    def visible(self) -> bool:
        return not self.marker and (self.transaction is None or self.transaction.state == "committed")


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong between workers and broker, as shares of commits."""

    until: int = 0  # ms after the world's start
    unknown_outcome: float = 0.0  # the answer never comes; half of them were committed
    unknown_position: float = 0.0  # committed, but the broker doesn't say where
    slow: float = 0.02
    slow_ms: int = 200


class Kafka:
    """The broker. Whatever happens to a partition happens here, at one moment."""

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace, faults: Faults) -> None:
        self.loop, self.random, self.trace, self.faults = loop, random, trace, faults
        self.logs: dict[tuple[str, int], list[Entry]] = {}
        self.epochs: dict[str, int] = {}
        self.open: dict[str, Transaction] = {}  # by transactional id
        self.sessions: list[Session] = []

    def travel_ms(self) -> int:
        """One way between a client and the broker."""
        if self.random.random() < self.faults.slow:
            return self.random.randint(1, self.faults.slow_ms)
        return self.random.randint(1, 4)

    def log(self, topic: str, partition: int) -> list[Entry]:
        return self.logs.setdefault((topic, partition), [])

    def stable_end(self, topic: str, partition: int) -> int:
        """The last stable offset: everything before it is decided."""
        place = (topic, partition)
        undecided = [one.first[place] for one in self.open.values() if place in one.first]
        return min(undecided, default=len(self.log(*place)))

    def committed(self, topic: str, partition: int) -> list[tuple[int, Entry]]:
        """What a read_committed reader sees, with offsets."""
        end = self.stable_end(topic, partition)
        return [(offset, entry) for offset, entry in enumerate(self.log(topic, partition)[:end]) if entry.visible]

    def append(self, topic: str, partition: int, entry: Entry) -> int:
        log = self.log(topic, partition)
        log.append(entry)
        if entry.transaction and not entry.marker:
            entry.transaction.first.setdefault((topic, partition), len(log) - 1)
        else:
            self._tell(topic, partition)
        return len(log) - 1

    def publish(self, topic: str, partition: int, entry: Entry, ends: str | None) -> None:
        """A record of an upstream producer; in a transaction of its own, if it says how that ends."""
        if ends is None:
            self.append(topic, partition, entry)
        else:
            transaction = Transaction("upstream")
            self.append(topic, partition, replace(entry, transaction=transaction))
            self.end(transaction, ends)

    def initialise(self, transactional_id: str) -> int:
        """A new epoch: fences whoever had the id before, and ends its transaction."""
        epoch = self.epochs[transactional_id] = self.epochs.get(transactional_id, 0) + 1
        if transaction := self.open.pop(transactional_id, None):
            self.end(transaction, "aborted")
        return epoch

    def end(self, transaction: Transaction, state: str) -> None:
        """All of it becomes visible at once, or nothing ever does; its marker takes an offset in each partition."""
        transaction.state, transaction.ended = state, self.loop.ms
        self.open.pop(transaction.id, None)
        for topic, partition in transaction.first:
            self.append(topic, partition, Entry(None, None, (), self.loop.ms, transaction, marker=True))

    def _tell(self, topic: str, partition: int) -> None:
        for session in self.sessions:
            if partition == session.partition and topic in session.at:
                self.loop.after(self.travel_ms(), lambda session=session: session.fetch(topic))  # type: ignore[misc]


class Session:
    """One opening of one partition's log by one process."""

    def __init__(self, kafka: Kafka, process: Process, partition: int) -> None:
        self.kafka, self.process, self.partition = kafka, process, partition
        self.transactional_id = f"processor.{partition}"
        self.identity = ""
        self.epoch = 0
        self.at: dict[str, int] = {}  # the consumer's position by topic
        self.fetched: dict[str, int] = {}  # how far its records have come over
        self.poller: asyncio.Future[None] | None = None

    async def open(self) -> None:
        self.epoch = await self._ask(lambda: self.kafka.initialise(self.transactional_id))
        self.identity = "simulated processor.changelog"
        self.kafka.trace.say(self.process.name, "initialised its producer", epoch=self.epoch)

    async def changelog(self) -> tuple[int, int]:
        return 0, await self._ask(lambda: len(self.kafka.log(changelog, self.partition)))

    def restore(self, start: int, end: int) -> AsyncIterator[Restored]:
        return Restoring(self, start, end)

    async def assign(self, positions: Mapping[str, int]) -> Mapping[str, str]:
        def arrive() -> dict[str, str]:
            ends = {topic: self.kafka.stable_end(topic, self.partition) for topic in INPUT_TOPICS}
            lost = {
                topic: "out of range"
                for topic, at in positions.items()
                if at > len(self.kafka.log(topic, self.partition))
            }
            self.at = {topic: 0 if topic in lost else positions.get(topic, 0) for topic in INPUT_TOPICS}
            self.fetched = ends
            self.kafka.sessions.append(self)
            return lost

        return await self._ask(arrive)

    async def poll(self, limit: int) -> Sequence[Record]:
        """Returns without a record when a position passed markers only, as the real one does."""
        while True:
            await asyncio.sleep(0)
            self._alive()
            before = dict(self.at)
            records = self._take(limit)
            if self.at != before:
                return records
            self.poller = self.kafka.loop.create_future()
            await self.poller

    def positions(self) -> Mapping[str, int]:
        return dict(self.at)

    async def changes_end(self) -> int:
        return await self._ask(lambda: self.kafka.stable_end("lead.changes", self.partition))

    async def commit(self, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        """Two requests, as in Kafka: the records, still invisible, and then the end that decides all of them at once."""
        kafka, faults = self.kafka, self.kafka.faults
        position = await self._ask(lambda: self._produce(records, rows))
        troubled = kafka.loop.ms < start_ms + faults.until
        answered = not troubled or kafka.random.random() >= faults.unknown_outcome
        if answered or kafka.random.random() < 0.5:
            await self._ask(lambda: self._end(records, rows), decides=True)
        if not answered:
            kafka.trace.say(self.process.name, "never hears whether its transaction was committed")
            await self._wait(give_up_ms)
            raise Broken("the end of the transaction was not answered")
        return None if not rows or (troubled and kafka.random.random() < faults.unknown_position) else position

    async def close(self) -> None:
        if self in self.kafka.sessions:
            self.kafka.sessions.remove(self)
        if not self.process.dead:
            await self._wait(1)

    def fetch(self, topic: str) -> None:
        """Records come over; whoever polls looks again."""
        self.fetched[topic] = self.kafka.stable_end(topic, self.partition)
        if self.poller and not self.poller.done():
            self.poller.set_result(None)

    def _take(self, limit: int) -> list[Record]:
        taken: list[Record] = []
        for topic in sooner_first:
            log = self.kafka.log(topic, self.partition)
            while self.at[topic] < self.fetched[topic] and len(taken) < limit:
                offset, entry = self.at[topic], log[self.at[topic]]
                self.at[topic] += 1
                if entry.visible:
                    where = (topic, self.partition, offset)
                    taken.append(Record(*where, entry.timestamp_ms, entry.key, entry.value, entry.headers))
        return taken

    def _produce(self, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]) -> int:
        self._owned()
        kafka = self.kafka
        transaction = kafka.open.setdefault(self.transactional_id, Transaction(self.transactional_id))
        for out in records:
            partition = self.partition if out.partition is None else out.partition
            time = kafka.loop.ms if out.timestamp_ms is None else out.timestamp_ms
            kafka.append(out.topic, partition, Entry(out.key, out.value, tuple(out.headers), time, transaction))
        for key, value in rows:
            kafka.append(changelog, self.partition, Entry(key.encode(), value, (), kafka.loop.ms, transaction))
        return len(kafka.log(changelog, self.partition))

    def _end(self, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]) -> None:
        self._owned()
        self.kafka.end(self.kafka.open[self.transactional_id], "committed")
        self.kafka.trace.say(self.process.name, "commits", records=records, rows=rows)

    def _owned(self) -> None:
        if self.kafka.epochs.get(self.transactional_id) != self.epoch:
            raise Fenced("a later epoch")

    def _alive(self) -> None:
        if self.process.dead:
            raise asyncio.CancelledError("this process is dead")

    async def _ask(self, arrive: Callable[[], Answer], decides: bool = False) -> Answer:
        """A request travels, takes effect at the broker, and its answer travels back."""
        self._alive()
        loop, process = self.kafka.loop, self.process
        answer: asyncio.Future[Answer] = loop.create_future()
        process.deciding += decides

        def arrives() -> None:
            process.deciding -= decides
            if process.dead and not process.lands:
                return
            try:
                said = arrive()
            except Fenced as error:
                loop.after(self.kafka.travel_ms(), partial(refuse, answer, error))
            else:
                loop.after(self.kafka.travel_ms(), partial(settle, answer, said))

        loop.after(self.kafka.travel_ms(), arrives)
        if decides:
            process.die_here()
        said = await answer
        self._alive()
        return said

    async def _wait(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)
        self._alive()


class Restoring:
    """The committed changelog rows of [start, end), a slice at a time. No generator: an abandoned one would be closed by the garbage
    collector, whenever that comes by."""

    def __init__(self, session: Session, start: int, end: int) -> None:
        self.session, self.position, self.end = session, start, end

    def __aiter__(self) -> AsyncIterator[Restored]:
        return self

    async def __anext__(self) -> Restored:
        if self.position >= self.end:
            raise StopAsyncIteration
        return await self.session._ask(self._slice)

    def _slice(self) -> Restored:
        log = self.session.kafka.log(changelog, self.session.partition)
        start, self.position = self.position, min(self.end, self.position + slice_rows)
        rows = [((entry.key or b"").decode(), entry.value) for entry in log[start : self.position] if entry.visible]
        return Restored(rows, self.position, self.end)
