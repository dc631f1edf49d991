"""A worker: `processor.engine.runner.run`, unchanged, on virtual time; and how it dies.

A process can be stopped dead before any of its steps, and on both sides of SQLite's commit, where nothing is awaited.
From then on its sessions do nothing; its tasks are cancelled only so that they are gone, and their cleanups reach a
dead world. `Peer` is a worker that shares the partitions with others: the real membership and supervisor say which of
them run there.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import pairwise
from random import Random
from typing import Final, Literal, NamedTuple

from processor.engine.clock import WallClock, unsettled_ms
from processor.engine.group import GroupIntervals, GroupListener, InstanceReplaced
from processor.engine.membership import Membership
from processor.engine.ports import Ports, StateFile
from processor.engine.runner import Ended, run
from processor.engine.supervisor import supervise
from processor.shard.documents.document import Document
from processor.shard.setup import Setup
from processor.shard.store import Store, UnitOfWork
from processor.telemetry.catalogue import TelemetryEvent

from .broker import Kafka
from .group import Group, member
from .highlevel import Api, Server
from .log import Session
from .loop import VirtualLoop, running
from .trace import Trace

Found = Literal["kept", "stale", "lost"]
founds: Final[Sequence[Found]] = ("kept", "stale", "lost")
How = Literal["dies", "stalls", "drains"]
copy_every: Final = 40  # commits of a peer: one of these copies may be what is left of its state file


class Killed(BaseException):
    """The process is gone; no code of its own may catch this."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Where one worker loses its partition, how, and what its successor finds."""

    at: int = 0  # its step
    after_ms: int = 0  # or else its first step so long after its start
    lands: bool = True  # the end of a transaction that is on its way gets there
    state: Found = "kept"  # the state file: as it was, an older copy of it, or none
    pause_ms: int = 200  # until the successor starts
    how: How = "dies"  # or it finds out only later that there is a successor; or it is told to stop, and waited for


class Point(NamedTuple):
    """A step at which a worker could die. Between two that are equal nothing left the worker, nor came to it."""

    ms: int
    happened: int
    commits: int
    deciding: int


@dataclass
class Disk:
    """The machine's state file."""

    random: Random
    newest: bytes | None = None
    older: bytes | None = None
    saved: int = 0
    found: Found = "kept"

    def save(self, connection: sqlite3.Connection) -> None:
        self.saved += 1
        if self.newest is not None and self.random.random() < 1 / self.saved:
            self.older = self.newest  # any of the former copies, each as likely
        self.newest = connection.serialize()

    def left(self, found: Found) -> "Disk":
        """What a successor finds."""
        files = {"kept": (self.newest, self.older), "stale": (self.older, None), "lost": (None, None)}
        return Disk(self.random, *files[found], found=found)


class Mortal(Store):
    """The shard's SQLite in memory. Its process may die before a commit and after it; what was committed is on the
    disk."""

    def __init__(self, connection: sqlite3.Connection, worker: "Worker", partition: int) -> None:
        super().__init__(connection)
        self.worker, self.partition = worker, partition

    def begin(self, now: int, setup: Setup) -> UnitOfWork:
        self.connection.execute("BEGIN IMMEDIATE")
        return Weighed(self.connection, now, setup, self.worker.peaks)

    def commit(self, position: int | None) -> None:
        self.worker.die_here()
        super().commit(position)
        self.worker.saved(self)
        self.worker.die_here()

    def index_restored(self, now: int) -> Iterator[None]:
        yield from super().index_restored(now)
        self.worker.saved(self)


class Weighed(UnitOfWork):
    """A turn's changes; and the most that any turn has held in memory."""

    def __init__(self, connection: sqlite3.Connection, now: int, setup: Setup, peaks: Counter[str]) -> None:
        super().__init__(connection, now, setup)
        self.peaks = peaks

    def _track(self, key: str, document: Document, stored: bytes | None) -> None:
        super()._track(key, document, stored)
        self.peaks["documents"] = max(self.peaks["documents"], self.size)

    def flush(self, *kinds: str) -> None:
        super().flush(*kinds)
        self.peaks["rows"] = max(self.peaks["rows"], len(self.rows))
        self.peaks["records"] = max(self.peaks["records"], len(self.records))


@dataclass
class InMemory:
    """A state file, as the runner knows it."""

    store: Store
    origin: str
    closed: Callable[[bool], None]
    discarded: bool = False

    def close(self) -> None:
        self.closed(self.discarded)
        self.store.connection.close()

    def discard(self) -> None:
        self.discarded = True


@dataclass
class Wall:
    """A machine's wall clock."""

    skew_ms: int = 0


class SkewedClock(WallClock):
    """The real clock, by a machine's wall; and when it was set, for whoever wants to know the true time."""

    def __init__(self, loop: VirtualLoop, wall: Wall, record: Callable[[TelemetryEvent], None]) -> None:
        super().__init__(record, lambda: (loop.ms + wall.skew_ms) * 1_000_000, lambda: loop.ms * 1_000_000)
        self.loop = loop
        self.set: list[tuple[int, int]] = [(loop.ms, self._offset)]  # true time, off by

    def settled_at(self) -> int:
        settled = super().settled_at()
        if self._offset != self.set[-1][1]:
            self.set.append((self.loop.ms, self._offset))
        return settled

    def true(self, granted: int) -> int:
        """When a call was granted, of which this clock said `granted`. Once set, it grants nothing for a while."""
        for since, off in reversed(self.set[1:]):
            if granted - off >= since + unsettled_ms:
                return granted - off
        return granted - self.set[0][1]

    def set_back(self, since: int, until: int) -> int:
        """By how much it was set back between two moments."""
        return sum(max(0, before - off) for (_, before), (at, off) in pairwise(self.set) if since <= at <= until)


@dataclass
class Worker:
    """One process that owns the partition."""

    setup: Setup
    loop: VirtualLoop
    kafka: Kafka
    server: Server
    trace: Trace
    disks: dict[int, Disk]  # by partition
    kill: Kill | None = None
    wall: Wall = field(default_factory=Wall)
    died: Callable[["Worker"], None] = lambda worker: None
    dead: bool = False
    frozen: bool = False
    aside: list[asyncio.Handle] = field(default_factory=list)
    replaced: bool = False  # it has a successor, or will have one
    lands: bool = True
    deciding: int = 0
    steps: int = 0
    commits: int = 0
    age: int = 0  # ms, when it lost its partition
    points: list[Point] | None = None  # kept when someone wants to know where it could have died
    events: list[tuple[int, TelemetryEvent]] = field(default_factory=list)
    peaks: Counter[str] = field(default_factory=Counter)  # the most that a turn of its held: documents, rows, records

    @property
    def name(self) -> str:
        return self.setup.worker

    def start(self) -> None:
        self.stop = asyncio.Event()
        self.began = self.loop.ms
        self.clock = SkewedClock(self.loop, self.wall, self.record)
        context = copy_context()
        context.run(running.set, self)
        self.task: asyncio.Task[object] = self.loop.create_task(self.work(), name=self.name, context=context)
        self.trace.say(self.name, "starts")

    async def work(self) -> object:
        """There is no group to ask, so whoever is in doubt goes on."""
        ports = self.ports(self.setup.partition)
        while (ended := await run(self.setup, ports, self.stop)) == "in doubt" and not self.stop.is_set():
            pass
        return "stopped" if ended == "in doubt" else ended

    def ports(self, partition: int) -> Ports:
        def open_state(identity: str, begin: int, end: int) -> StateFile:
            return self.open_state(partition, identity, begin, end)

        return Ports(
            log=lambda: Session(self.kafka, self, partition),
            api=Api(self.server, self, self.clock),
            clock=self.clock,
            open_state=open_state,
            record=self.record,
        )

    def step(self) -> None:
        if self.dead:
            return
        self.steps += 1
        if self.points is not None:
            self.points.append(Point(self.loop.ms, self.loop.happened, self.commits, self.deciding))
        kill = self.kill
        if kill and (self.steps == kill.at or (not kill.at and self.loop.ms >= self.began + kill.after_ms)):
            self.die(kill)

    def die(self, kill: Kill) -> None:
        self.kill, self.age = None, self.loop.ms - self.began
        self.trace.say(self.name, kill.how, step=self.steps, lands=kill.lands)
        if kill.how == "dies":
            self.dead, self.lands = True, kill.lands
            self.task.cancel()
        if kill.how == "drains":
            self.stop.set()
            self.task.add_done_callback(lambda _: self.died(self), context=Context())
        else:
            self.died(self)

    def stepped(self, by: int) -> None:
        self.trace.say(self.name, f"has its wall clock stepped by {by} ms")
        self.wall.skew_ms += by

    def die_here(self) -> None:
        """A step in the midst of what is not awaited."""
        self.step()
        if self.dead:
            raise Killed

    def saved(self, state: Mortal) -> None:
        """SQLite has committed."""
        self.commits += 1
        if self.kill is not None:  # a copy is worth its time only if someone may come to find it
            self.disks[state.partition].save(state.connection)

    def closed(self, state: Mortal, discarded: bool) -> None:
        if discarded:
            self.disks[state.partition].newest = None
        elif not self.dead:
            self.disks[state.partition].save(state.connection)

    def record(self, event: TelemetryEvent) -> None:
        if not self.dead:
            self.events.append((self.loop.ms, event))
            if event.name not in ("turn", "restoring", "heard"):
                self.trace.say(self.name, f"records {event.name}", **asdict(event))

    def open_state(self, partition: int, identity: str, begin: int, end: int) -> StateFile:
        connection = sqlite3.connect(":memory:")
        disk = self.disks.setdefault(partition, Disk(self.kafka.random))
        if disk.newest is not None:
            connection.deserialize(disk.newest)
            kept = Mortal(connection, self, partition)
            if kept.meta("identity") == identity and begin <= kept.position <= end:
                return InMemory(kept, "kept", partial(self.closed, kept))
            connection.close()
            connection = sqlite3.connect(":memory:")
        state = Mortal(connection, self, partition)
        state.set_meta(identity=identity, used=self.clock.now())
        return InMemory(state, "fresh", partial(self.closed, state))


@dataclass
class Peer(Worker):
    """A worker in a group, as `app.work` wires it: the partitions that membership says are its own, each with a
    runner. As a static member it ends once another worker has joined under its instance id."""

    group: Group | None = None
    instance: str | None = None  # it is a static member
    opened: dict[int, Mortal] = field(default_factory=dict)

    async def work(self) -> object:
        try:
            async with Membership(self.join, "simulated") as membership:
                await supervise(membership, self.run_partition, self.owns, self.stop)
        except InstanceReplaced:
            self.trace.say(self.name, "ends: its place is taken")
            return "replaced"
        return "stopped"

    async def join(self, listener: GroupListener) -> None:
        assert self.group is not None
        intervals = GroupIntervals.of_member(static=self.instance is not None)
        await member(self.group, self, intervals, listener, self.instance)

    async def run_partition(self, partition: int, end: asyncio.Event) -> Ended:
        return await run(replace(self.setup, partition=partition), self.ports(partition), end)

    def owns(self, owned: frozenset[int]) -> None:
        self.trace.say(self.name, f"owns {sorted(owned)}")

    def freeze(self) -> None:
        self.trace.say(self.name, "freezes")
        self.frozen = True

    def thaw(self) -> None:
        self.trace.say(self.name, "goes on")
        self.loop.thaw(self)

    def die_now(self, lands: bool) -> None:
        """What SQLite has committed by now is on the disk."""
        for state in self.opened.values():
            state.rollback()
            self.disks[state.partition].newest = state.connection.serialize()
        self.die(Kill(lands=lands))
        if self.frozen:
            self.loop.thaw(self)

    def saved(self, state: Mortal) -> None:
        self.commits += 1
        self.opened[state.partition] = state
        if self.commits % copy_every == 0:
            self.disks[state.partition].save(state.connection)

    def closed(self, state: Mortal, discarded: bool) -> None:
        super().closed(state, discarded)
        self.opened.pop(state.partition, None)
