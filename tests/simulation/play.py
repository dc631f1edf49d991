"""One scenario, played to its end: a run. The same seed and kills give the same run, bit for bit."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from random import Random
from typing import Any, Final

import orjson
import pytest

from processor.highlevel import requests, responses
from processor.ratelimit.budget import Rate
from processor.shard import timers
from processor.shard.jobs import backfill, export, planning, scan
from processor.shard.setup import Setup

from .broker import Entry, Faults, Kafka, again_ms
from .conversations import Conversations
from .fate import Fate
from .group import Group
from .highlevel import Server
from .loop import Stuck, VirtualLoop
from .tale import time
from .trace import Trace
from .weather import Network, Weather
from .worker import Disk, Kill, SkewedClock, Wall, Worker
from .world import Scenario, partition

drain_ms: Final = 10_000  # SIGTERM: a worker leaves within this
whole_pages: Final = requests.page_limit  # as it is, before a small world has it smaller
recovery_ms: Final = 720_000  # after an outage or a refused token: a trial comes once in 10 minutes
calls_each: Final = 5  # a lead needs no more, were all in one location and each asked about alone


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock of a worker's machine is set."""

    at: int  # ms after the world's start
    by: int  # ms
    who: int = 0  # the worker's number
    within_ms: int | None = None  # of the true time, where other machines are near it, too


@dataclass(frozen=True)
class World:
    """What a scenario is played in."""

    rate: Rate = field(default_factory=Rate)
    probe_size: int = 50
    network: Network = field(default_factory=Network)
    weather: Weather = field(default_factory=Weather)
    faults: Faults = field(default_factory=Faults)
    steps: tuple[Step, ...] = ()
    skew_ms: int = 0  # each worker's clock is off by up to so much
    page_limit: int = whole_pages  # contacts in an answer: small worlds have several pages, too
    rest_ms: int = 0  # what it needs beyond the usual, until all is done


@dataclass
class Run:
    """What there is to judge afterwards."""

    scenario: Scenario
    world: World
    kills: Sequence[Kill]
    loop: VirtualLoop
    kafka: Kafka
    server: Server
    trace: Trace
    workers: list[Worker] = field(default_factory=list)
    offsets: dict[tuple[str, int, int], int] = field(default_factory=dict)  # topic, partition, offset → publication
    unpublished: list[int] = field(default_factory=list)  # publications that Kafka has not taken yet
    fates: Sequence[Fate] = ()
    group: Group | None = None
    crashed: list[str] = field(default_factory=list)
    control: "Run | None" = None  # the same world without what ails some of it, to compare with
    _read: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _documents: dict[str, Any] = field(default_factory=dict)

    @property
    def outage(self) -> bool:
        """Nobody owned the partition for some seconds."""
        if self.fates:
            return True
        slow = any(kill.pause_ms >= 1_000 or kill.how == "drains" for kill in self.kills)
        return slow or len(self.kills) > 3 or self.world.faults.unknown_outcome > 0

    @cached_property
    def clocks(self) -> Mapping[str, SkewedClock]:
        """By worker."""
        return {worker.name: worker.clock for worker in self.workers}

    def read(self, topic: str) -> list[dict[str, Any]]:
        """The events of a topic, as a read_committed reader sees them once all is over."""
        if topic not in self._read:
            self._read[topic] = [
                orjson.loads(entry.value or b"null")
                for partition in self.scenario.owned
                for _, entry in self.kafka.committed(topic, partition)
            ]
        return self._read[topic]

    def documents(self) -> dict[str, Any]:
        """The changelogs' documents, as successors would find them; positions have their partition's number before
        them."""
        if not self._documents:
            for partition in self.scenario.owned:
                for _, entry in self.kafka.committed("processor.changelog", partition):
                    key = (entry.key or b"").decode()
                    name = f"{partition} {key}" if key.startswith("position ") else key
                    if entry.value is not None:
                        self._documents[name] = orjson.loads(entry.value)
                    else:
                        self._documents.pop(name, None)
        return self._documents

    def digest(self) -> str:
        """Of all topics, byte for byte, and all that arrived at HighLevel."""
        hashed = hashlib.sha256()
        for place, log in sorted(self.kafka.logs.items()):
            for entry in log:
                state = entry.transaction.state if entry.transaction else ""
                hashed.update(
                    repr(
                        (place, entry.key, entry.value, entry.headers, entry.timestamp_ms, state, entry.marker)
                    ).encode()
                )
        hashed.update(repr(self.server.arrivals).encode())
        return hashed.hexdigest()


def play(scenario: Scenario, kills: Sequence[Kill] = (), world: World | None = None, watch: bool = False) -> Run:
    """Play it with workers that die one after another; what is left of the last one drains at the end. `watch` keeps
    the points at which the first worker could have died."""
    random = Random(f"{scenario.seed} play")
    run = prepare(scenario, world or World(), kills)
    return finish(run, direct(run, random, watch))


def prepare(scenario: Scenario, world: World, kills: Sequence[Kill] = (), fates: Sequence[Fate] = ()) -> Run:
    """A world in which nothing has happened yet."""
    loop = VirtualLoop()
    trace = Trace(loop)
    kafka = Kafka(loop, Random(f"{scenario.seed} kafka"), trace, world.faults)
    server = Server(
        loop,
        Random(f"{scenario.seed} highlevel"),
        trace,
        world.rate.ceiling,
        scenario.people,
        scenario.raw_names,
        scenario.poison,
        world.network,
        world.weather,
        Conversations(scenario.texts),
    )
    run = Run(scenario, world, kills, loop, kafka, server, trace, fates=fates)
    for index, one in enumerate(scenario.publications):
        loop.after(one.at, publisher(run, index))
    for step in world.steps:
        loop.after(step.at, partial(set_wall, run, step))
    return run


def finish(run: Run, story: Coroutine[Any, Any, None]) -> Run:
    asyncio.set_event_loop(None)
    run.loop.set_exception_handler(lambda _, context: run.crashed.append(str(context.get("message"))))
    try:
        with pages_of(run.world.page_limit):
            run.loop.run_until_complete(story)
    except Stuck as stuck:
        run.crashed.append(str(stuck))
    finally:
        leave(run)
    return run


@contextmanager
def pages_of(limit: int) -> Iterator[None]:
    """The most contacts that HighLevel gives at once is a constant of its contract; nobody sets it but here. Where pages
    are small, so is what a turn takes of them and of a job's leads: it takes several, whatever the job."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "page_limit", limit)
        patch.setattr(responses, "page_limit", limit)
        patch.setattr(planning, "page_limit", limit)
        patch.setattr(export, "page_limit", limit)
        if limit < whole_pages:
            patch.setattr(scan, "contacts_at_once", max(1, limit // 3))
            patch.setattr(timers, "touches_at_once", limit)
            patch.setattr(export, "messages_at_once", limit // 2)
            patch.setattr(backfill, "locations_at_once", 1)
        yield


def leave(run: Run) -> None:
    """Whatever still runs is cancelled, in a dead world: no coroutine is left to the garbage collector."""
    for worker in run.workers:
        worker.dead = True
        run.loop.thaw(worker)
    if left := asyncio.all_tasks(run.loop):
        for task in left:
            task.cancel()
        run.loop.run_until_complete(asyncio.wait(left, timeout=drain_ms / 1000))
    run.loop.close()


async def direct(run: Run, random: Random, watch: bool) -> None:
    """There is always a worker."""
    begin(run, Disk(random), random, watch)
    pauses = sum(kill.pause_ms + kill.after_ms for kill in run.kills)
    lasts = max(run.scenario.ends, run.world.weather.over + recovery_ms)
    await asyncio.sleep((lasts + pauses + spending_ms(run)) / 1000)
    while True:
        workers = list(run.workers)
        for worker in workers:
            worker.stop.set()
        await asyncio.wait([worker.task for worker in workers], timeout=drain_ms / 1000)
        if not workers[-1].replaced:
            break
        await asyncio.sleep((run.kills[len(workers) - 1].pause_ms + drain_ms) / 1000)  # it died while it drained
    for worker in workers:
        if not worker.dead:
            run.crashed += ended(worker, {"stopped", "fenced"} if worker.replaced else {"stopped"})


def spending_ms(run: Run) -> int:
    """All its calls take no longer, were all in one location."""
    jobs, contacts = len(run.scenario.orders), len(run.scenario.people)
    calls = len(run.scenario.tales) * calls_each * (1 + jobs) + contacts // run.world.page_limit * 2 * jobs
    calls += len(run.scenario.texts) * (1 + jobs)
    return calls * 10_000 // run.world.rate.per_window + run.world.rest_ms


def begin(run: Run, disk: Disk, random: Random, watch: bool = False) -> None:
    """A worker starts; should it die, another one does, a little later."""
    number = len(run.workers)
    kill = run.kills[number] if number < len(run.kills) else None
    wall = Wall(random.randint(-run.world.skew_ms, run.world.skew_ms))
    worker = Worker(setup(run, f"worker-{number}"), *parts(run), {partition: disk}, kill, wall)
    worker.points = [] if watch else None

    def died(worker: Worker) -> None:
        assert kill is not None
        worker.replaced = True
        left = worker.disks[partition].left(kill.state)
        run.loop.after(kill.pause_ms, lambda: begin(run, left, random))

    worker.died = died
    run.workers.append(worker)
    worker.start()


def setup(run: Run, name: str) -> Setup:
    return Setup(partition, run.scenario.partitions, name, rate=run.world.rate, probe_size=run.world.probe_size)


def parts(run: Run) -> tuple[VirtualLoop, Kafka, Server, Trace]:
    """What a worker needs of the world."""
    return run.loop, run.kafka, run.server, run.trace


def set_wall(run: Run, step: Step) -> None:
    """Whoever works on that machine by now; nobody, if none has yet."""
    name = f"worker-{step.who}"
    here = next((one for one in reversed(run.workers) if one.name.partition(".")[0] == name), None)
    if here is not None:
        skew = here.wall.skew_ms
        to = skew + step.by if step.within_ms is None else max(-step.within_ms, min(skew + step.by, step.within_ms))
        here.stepped(to - skew)


def publisher(run: Run, index: int) -> Callable[[], None]:
    """While Kafka is gone upstream tries again, and keeps its order: no request comes before the leads it is about."""

    def publish() -> None:
        run.unpublished.append(index)
        if len(run.unpublished) == 1:
            catch_up()

    def catch_up() -> None:
        if run.kafka.gone:
            run.loop.after(again_ms, catch_up)
            return
        for each in run.unpublished:
            put(run, each)
        run.unpublished.clear()

    return publish


def put(run: Run, index: int) -> None:
    one = run.scenario.publications[index]
    where = run.scenario.place(one)
    run.offsets[one.topic, where, len(run.kafka.log(one.topic, where))] = index
    timestamp = time(one.at if one.timestamp is None else one.timestamp)
    run.kafka.publish(one.topic, where, Entry(one.key.encode(), one.value, one.headers, timestamp), one.transaction)
    shown = (one.value or b"")[:200].decode(errors="replace")
    run.trace.say("upstream", f"publishes to {one.topic} {where}", event=one.event, value=shown)


def ended(worker: Worker, expected: Collection[str]) -> list[str]:
    """How a runner ended that should have ended in one of these ways."""
    if not worker.task.done():
        return [f"{worker.name} does not end"]
    if worker.task.cancelled() or worker.task.exception():
        return [
            f"{worker.name} ended with {worker.task.exception() if not worker.task.cancelled() else 'a cancellation'!r}"
        ]
    return [] if worker.task.result() in expected else [f"{worker.name} ended as {worker.task.result()}"]
