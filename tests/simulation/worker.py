"""A worker: `processor.engine.runner.run`, unchanged, on virtual time; and how it dies.

A process can be stopped dead before any of its steps, and on both sides of SQLite's commit, where nothing is awaited. From then on
its sessions do nothing; its tasks are cancelled only so that they are gone, and their cleanups reach a dead world.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, NamedTuple

from processor.engine.ports import StateFile
from processor.engine.runner import Ports, run
from processor.shard.notes import Note
from processor.shard.setup import Setup
from processor.shard.state import State
from processor.shard.turn import project

from .highlevel import Api, Server
from .log import Kafka, Session
from .loop import VirtualLoop, running
from .trace import Trace

Found = Literal["kept", "stale", "lost"]
founds: Final[Sequence[Found]] = ("kept", "stale", "lost")
How = Literal["dies", "stalls", "drains"]


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

    def save(self, connection: sqlite3.Connection) -> None:
        self.saved += 1
        if self.newest is not None and self.random.random() < 1 / self.saved:
            self.older = self.newest  # any of the former copies, each as likely
        self.newest = connection.serialize()

    def left(self, found: Found) -> "Disk":
        """What a successor finds."""
        files = {"kept": (self.newest, self.older), "stale": (self.older, None), "lost": (None, None)}
        return Disk(self.random, *files[found])


class Mortal(State):
    """The shard's SQLite in memory. Its process may die before a commit and after it; what was committed is on the disk."""

    def __init__(self, connection: sqlite3.Connection, worker: "Worker") -> None:
        super().__init__(connection, project)
        self.worker = worker

    def commit(self, position: int | None) -> None:
        self.worker.die_here()
        super().commit(position)
        self.worker.saved(self.connection)
        self.worker.die_here()

    def restored(self, now: int) -> None:
        super().restored(now)
        self.worker.saved(self.connection)


@dataclass
class InMemory:
    """A state file, as the runner knows it."""

    state: State
    origin: str
    worker: "Worker"

    def close(self) -> None:
        if not self.worker.dead:
            self.worker.disk.save(self.state.connection)
        self.state.connection.close()


class SkewedClock:
    def __init__(self, loop: VirtualLoop, skew_ms: int) -> None:
        self.loop, self.skew_ms = loop, skew_ms

    def now(self) -> int:
        return self.loop.ms + self.skew_ms


@dataclass
class Worker:
    """One process that owns the partition."""

    setup: Setup
    loop: VirtualLoop
    kafka: Kafka
    server: Server
    trace: Trace
    disk: Disk
    kill: Kill | None = None
    skew_ms: int = 0
    died: Callable[["Worker"], None] = lambda worker: None
    dead: bool = False
    replaced: bool = False  # it has a successor, or will have one
    lands: bool = True
    deciding: int = 0
    steps: int = 0
    commits: int = 0
    age: int = 0  # ms, when it lost its partition
    points: list[Point] | None = None  # kept when someone wants to know where it could have died
    notes: list[tuple[int, Note]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.setup.worker

    def start(self) -> None:
        self.stop = asyncio.Event()
        self.began = self.loop.ms
        self.clock = SkewedClock(self.loop, self.skew_ms)
        ports = Ports(
            log=lambda: Session(self.kafka, self, self.setup.partition),
            api=Api(self.server, self, self.clock),
            clock=self.clock,
            open_state=self.open_state,
            note=self.note,
        )
        context = copy_context()
        context.run(running.set, self)
        self.task = self.loop.create_task(run(self.setup, ports, self.stop), name=self.name, context=context)
        self.trace.say(self.name, "starts")

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

    def die_here(self) -> None:
        """A step in the midst of what is not awaited."""
        self.step()
        if self.dead:
            raise Killed

    def saved(self, connection: sqlite3.Connection) -> None:
        """SQLite has committed."""
        self.commits += 1
        if self.kill is not None:  # a copy is worth its time only if someone may come to find it
            self.disk.save(connection)

    def note(self, note: Note) -> None:
        if not self.dead:
            self.notes.append((self.loop.ms, note))
            if note.name not in ("turn", "restoring", "heard"):
                self.trace.say(self.name, f"notes {note.name}", **note.fields)

    def open_state(self, identity: str, begin: int, end: int) -> StateFile:
        connection = sqlite3.connect(":memory:")
        if self.disk.newest is not None:
            connection.deserialize(self.disk.newest)
            kept = Mortal(connection, self)
            if kept.meta("identity") == identity and begin <= kept.position <= end:
                return InMemory(kept, "kept", self)
            connection.close()
            connection = sqlite3.connect(":memory:")
        state = Mortal(connection, self)
        state.set_meta(identity=identity, used=self.clock.now())
        return InMemory(state, "fresh", self)
