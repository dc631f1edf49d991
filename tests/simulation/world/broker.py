"""A Kafka in memory.

It has topics × partitions, transactions with control markers and a time-out, fencing by epoch, latency and outages.

`Kafka` is the broker, `ask` a client's request to it; `log.py` is a worker's side of its log, `group.py` of its
consumer group.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Final, Protocol, TypeVar

from processor.engine.ports import Fenced
from processor.shard.documents.format import FORMAT
from tests.lab.workload.times import start_ms
from tests.simulation.world.loop import Process, VirtualLoop, fulfil, refuse
from tests.simulation.world.trace import Trace

Answer = TypeVar("Answer")
Headers = tuple[tuple[str, bytes], ...]
transaction_ms: Final = 30_000  # the coordinator's time-out: then it aborts a transaction, and its producer is fenced
again_ms: Final = 150  # a client that can't reach the broker tries again so often


@dataclass(slots=True)
class Transaction:
    id: str
    state: str = "open"  # open | committed | aborted
    ended: int = 0  # ms since 1970
    first: dict[tuple[str, int], int] = field(default_factory=dict)  # partition → its first offset there


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of one offset: a record, or the marker that ends a transaction."""

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
    """The faults between workers and broker, as shares of commits."""

    until: int = 0  # ms after the world's start
    unknown_outcome: float = 0.0  # the response never comes; half of them were committed
    unknown_position: float = 0.0  # committed, but the response has no offset
    slow: float = 0.02
    slow_ms: int = 200
    refused: float = 0.0  # a batch of the transaction fails, of one topic


class Reader(Protocol):
    """A consumer that follows a partition."""

    process: Process
    partition: int

    def fetch(self, topic: str) -> None: ...
    def reads(self, topic: str) -> bool: ...
    def silent(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Initialised:
    """A producer got a new epoch, which fences the one before."""

    at: int
    partition: int
    by: str


def identity(topic: str) -> Entry:
    """The changelog's first row, as the real log writes it when it finds none."""
    return Entry(b"identity", f"{topic} {FORMAT}".encode(), (), start_ms)


class Kafka:
    """The broker. Whatever happens to a partition happens here, at one moment."""

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace, faults: Faults) -> None:
        self.loop, self.random, self.trace, self.faults = loop, random, trace, faults
        self.logs: dict[tuple[str, int], list[Entry]] = {}
        self.epochs: dict[str, int] = {}
        self.open: dict[str, Transaction] = {}  # by transactional id
        self.readers: list[Reader] = []
        self.initialised: list[Initialised] = []
        self.timed_out: list[tuple[int, str]] = []  # when, which transactional id
        self.gone = False  # nobody reaches it
        self.cut_off: set[str] = set()  # processes that don't

    def reached_by(self, process: Process) -> bool:
        return not self.gone and process.name not in self.cut_off

    def healed(self) -> None:
        """Reach the readers again with all records that came in meanwhile."""
        for reader in self.readers:
            for topic, partition in list(self.logs):
                if partition == reader.partition and reader.reads(topic):
                    self.loop.after(self.travel_ms(), partial(reader.fetch, topic))

    def travel_ms(self) -> int:
        """Return the time of one way between a client and the broker."""
        if self.random.random() < self.faults.slow:
            return self.random.randint(1, self.faults.slow_ms)
        return self.random.randint(1, 4)

    def log(self, topic: str, partition: int) -> list[Entry]:
        if (log := self.logs.get((topic, partition))) is None:
            log = self.logs[topic, partition] = [identity(topic)] if topic == "processor.changelog" else []
        return log

    def stable_end(self, topic: str, partition: int) -> int:
        """Return the last stable offset: everything before it is decided."""
        place = (topic, partition)
        undecided = [one.first[place] for one in self.open.values() if place in one.first]
        return min(undecided, default=len(self.log(*place)))

    def committed(self, topic: str, partition: int) -> list[tuple[int, Entry]]:
        """Return the records that a read_committed reader sees, with offsets."""
        end = self.stable_end(topic, partition)
        return [(offset, entry) for offset, entry in enumerate(self.log(topic, partition)[:end]) if entry.visible]

    def append(self, topic: str, partition: int, entry: Entry) -> int:
        log = self.log(topic, partition)
        log.append(entry)
        if entry.transaction and not entry.marker:
            entry.transaction.first.setdefault((topic, partition), len(log) - 1)
        else:
            self._notify(topic, partition)
        return len(log) - 1

    def publish(self, topic: str, partition: int, entry: Entry, ends: str | None) -> None:
        """Append a record of upstream. With `ends`, it is in a transaction of its own that ends like this."""
        if ends is None:
            self.append(topic, partition, entry)
        else:
            transaction = Transaction("upstream")
            self.append(topic, partition, replace(entry, transaction=transaction))
            self.end(transaction, ends)

    def initialise(self, transactional_id: str, partition: int, by: str) -> int:
        """Return a new epoch. It fences the producer that had the id before, and ends its transaction."""
        epoch = self.epochs[transactional_id] = self.epochs.get(transactional_id, 0) + 1
        self.initialised.append(Initialised(self.loop.ms, partition, by))
        if transaction := self.open.pop(transactional_id, None):
            self.end(transaction, "aborted")
        return epoch

    def begin(self, transactional_id: str) -> Transaction:
        """Return the producer's transaction. The coordinator aborts one that is open for too long, by a new epoch."""
        if transactional_id not in self.open:
            begun = self.open[transactional_id] = Transaction(transactional_id)
            self.loop.after(transaction_ms, lambda: self._expire(begun))
        return self.open[transactional_id]

    def _expire(self, transaction: Transaction) -> None:
        if transaction.state == "open":
            self.epochs[transaction.id] += 1
            self.timed_out.append((self.loop.ms, transaction.id))
            self.trace.add("Kafka", f"aborts a transaction of {transaction.id}, it took too long")
            self.end(transaction, "aborted")

    def end(self, transaction: Transaction, state: str) -> None:
        """All of it becomes visible at once, or nothing ever does; its marker takes an offset in each partition."""
        transaction.state, transaction.ended = state, self.loop.ms
        self.open.pop(transaction.id, None)
        for topic, partition in transaction.first:
            self.append(topic, partition, Entry(None, None, (), self.loop.ms, transaction, marker=True))

    def _notify(self, topic: str, partition: int) -> None:
        for reader in self.readers:
            if partition == reader.partition and reader.reads(topic) and self.reached_by(reader.process):
                self.loop.after(self.travel_ms(), partial(reader.fetch, topic))


async def ask(kafka: Kafka, process: Process, arrive: Callable[[], Answer], decides: bool = False) -> Answer:
    """Send a request, let it take effect at the broker, and return the response.

    A client that can't reach the broker tries again for as long as it waits: the effect is the same the second time.
    """
    alive(process)
    loop = kafka.loop
    answer: asyncio.Future[Answer] = loop.create_future()
    process.deciding += decides

    def arrives() -> None:
        reached = kafka.reached_by(process)
        if not reached and not process.dead and not answer.done():
            loop.after(again_ms, arrives)
            return
        process.deciding -= decides
        if not reached or (process.dead and not process.lands):
            return
        try:
            response = arrive()
        except Fenced as error:
            deliver(kafka, process, partial(refuse, answer, error))
        else:
            deliver(kafka, process, partial(fulfil, answer, response))

    loop.after(kafka.travel_ms(), arrives)
    if decides:
        process.die_here()
    response = await answer
    alive(process)
    return response


def deliver(kafka: Kafka, process: Process, hand_over: Callable[[], None]) -> None:
    """Deliver a response once its process can be reached."""

    def comes() -> None:
        if kafka.reached_by(process):
            hand_over()
        elif not process.dead:
            kafka.loop.after(again_ms, comes)

    kafka.loop.after(kafka.travel_ms(), comes)


def alive(process: Process) -> None:
    if process.dead:
        raise asyncio.CancelledError("this process is dead")
