"""A worker: `processor.engine.runner.run`, unchanged, on virtual time; and how it dies.

A process can be stopped dead before any of its steps, and on both sides of SQLite's commit, where nothing is awaited.
From then on its sessions do nothing. Its tasks are cancelled only so that they are gone; their cleanups reach a dead world.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial

from processor.engine.ports import Ports, StateFile
from processor.engine.runner import run
from processor.shard.notes import Note
from processor.shard.setup import Setup
from tests.simulation.faults.kills import Kill, KillPoint

from .broker import Kafka
from .clock import SkewedClock, WallOffset
from .highlevel import Api, Server
from .log import Session
from .loop import VirtualLoop, running
from .state_disk import Disk, MortalState, StateInMemory
from .trace import Trace


class Killed(BaseException):
    """The process is gone; none of its own code may catch this."""


@dataclass
class Worker:
    """A process that owns one partition."""

    setup: Setup
    loop: VirtualLoop
    kafka: Kafka
    server: Server
    trace: Trace
    disks: dict[int, Disk]  # by partition
    kill: Kill | None = None
    wall: WallOffset = field(default_factory=WallOffset)
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
    points: list[KillPoint] | None = None  # kept where a test needs the moments at which it could have died
    notes: list[tuple[int, Note]] = field(default_factory=list)
    peaks: Counter[str] = field(default_factory=Counter)  # the most that one turn held: documents, rows, records

    @property
    def name(self) -> str:
        return self.setup.worker

    def start(self) -> None:
        self.stop = asyncio.Event()
        self.began = self.loop.ms
        self.clock = SkewedClock(self.loop, self.wall, self.note)
        context = copy_context()
        context.run(running.set, self)
        self.task: asyncio.Task[object] = self.loop.create_task(self.work(), name=self.name, context=context)
        self.trace.add(self.name, "starts")

    async def work(self) -> object:
        """Run the partition. There is no group to ask, so a runner in doubt starts again."""
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
            note=self.note,
        )

    def step(self) -> None:
        if self.dead:
            return
        self.steps += 1
        if self.points is not None:
            self.points.append(KillPoint(self.loop.ms, self.loop.happened, self.commits, self.deciding))
        kill = self.kill
        if kill and (self.steps == kill.at or (not kill.at and self.loop.ms >= self.began + kill.after_ms)):
            self.die(kill)

    def die(self, kill: Kill) -> None:
        self.kill, self.age = None, self.loop.ms - self.began
        self.trace.add(self.name, kill.how, step=self.steps, lands=kill.lands)
        if kill.how == "dies":
            self.dead, self.lands = True, kill.lands
            self.task.cancel()
        if kill.how == "drains":
            self.stop.set()
            self.task.add_done_callback(lambda _: self.died(self), context=Context())
        else:
            self.died(self)

    def stepped(self, by: int) -> None:
        self.trace.add(self.name, f"has its wall clock stepped by {by} ms")
        self.wall.skew_ms += by

    def die_here(self) -> None:
        """Make a step where nothing is awaited. Raise Killed if the worker dies there."""
        self.step()
        if self.dead:
            raise Killed

    def saved(self, state: MortalState) -> None:
        """Keep a copy of the state after a commit of SQLite."""
        self.commits += 1
        if self.kill is not None:  # without a kill no successor finds a copy
            self.disks[state.partition].save(state.connection)

    def closed(self, state: MortalState, discarded: bool) -> None:
        if discarded:
            self.disks[state.partition].newest = None
        elif not self.dead:
            self.disks[state.partition].save(state.connection)

    def note(self, note: Note) -> None:
        if not self.dead:
            self.notes.append((self.loop.ms, note))
            if note.name not in ("turn", "restoring", "heard"):
                self.trace.add(self.name, f"notes {note.name}", **note.fields)

    def open_state(self, partition: int, identity: str, begin: int, end: int) -> StateFile:
        connection = sqlite3.connect(":memory:")
        disk = self.disks.setdefault(partition, Disk(self.kafka.random))
        if disk.newest is not None:
            connection.deserialize(disk.newest)
            kept = MortalState(connection, self, partition)
            if kept.meta("identity") == identity and begin <= kept.position <= end:
                return StateInMemory(kept, "kept", partial(self.closed, kept))
            connection.close()
            connection = sqlite3.connect(":memory:")
        state = MortalState(connection, self, partition)
        state.set_meta(identity=identity, used=self.clock.now())
        return StateInMemory(state, "fresh", partial(self.closed, state))
