"""One scenario, played to its end: a run. The same seed and kills give the same run, bit for bit."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import orjson

from processor.highlevel.budget import Rate
from processor.shard.setup import Setup

from .highlevel import Network, Server, Weather
from .log import Entry, Faults, Kafka
from .loop import Stuck, VirtualLoop
from .tale import time
from .trace import Trace
from .worker import Disk, Kill, Worker
from .world import Scenario, partition, partitions

drain_ms: Final = 10_000  # SIGTERM: a worker leaves within this
calls_each: Final = 4  # a lead needs no more, were all in one location and each asked about alone


@dataclass(frozen=True)
class World:
    """What a scenario is played in."""

    rate: Rate = field(default_factory=Rate)
    probe_size: int = 50
    network: Network = field(default_factory=Network)
    weather: Weather = field(default_factory=Weather)
    faults: Faults = field(default_factory=Faults)
    skew_ms: int = 0  # each worker's clock is off by up to so much


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
    offsets: dict[tuple[str, int], int] = field(
        default_factory=dict
    )  # topic, offset on our partition → index of publication
    crashed: list[str] = field(default_factory=list)
    _read: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def outage(self) -> bool:
        """Nobody owned the partition for some seconds."""
        slow = any(kill.pause_ms >= 1_000 or kill.how == "drains" for kill in self.kills)
        return slow or len(self.kills) > 3 or self.world.faults.unknown_outcome > 0

    def read(self, topic: str) -> list[dict[str, Any]]:
        """The events of a topic, as a read_committed reader sees them once all is over."""
        if topic not in self._read:
            self._read[topic] = [
                orjson.loads(entry.value or b"null") for _, entry in self.kafka.committed(topic, partition)
            ]
        return self._read[topic]

    def documents(self) -> dict[str, Any]:
        """The changelog's documents, as a successor would find them."""
        if "documents" not in self._read:
            rows = self.kafka.committed("processor.changelog", partition)
            last = {(entry.key or b"").decode(): entry.value for _, entry in rows}
            self._read["documents"] = [{key: orjson.loads(value) for key, value in last.items() if value is not None}]
        return self._read["documents"][0]

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
    """Play it with workers that die one after another; what is left of the last one drains at the end. `watch` keeps the points
    at which the first worker could have died."""
    world = world or World()
    random = Random(f"{scenario.seed} play")
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
        world.network,
        world.weather,
    )
    run = Run(scenario, world, kills, loop, kafka, server, trace)
    asyncio.set_event_loop(None)
    loop.set_exception_handler(lambda _, context: run.crashed.append(str(context.get("message"))))
    try:
        loop.run_until_complete(direct(run, random, watch))
    except Stuck as stuck:
        run.crashed.append(str(stuck))
    finally:
        leave(run)
    return run


def leave(run: Run) -> None:
    """Whatever still runs is cancelled, in a dead world: no coroutine is left to the garbage collector."""
    for worker in run.workers:
        worker.dead = True
    if left := asyncio.all_tasks(run.loop):
        for task in left:
            task.cancel()
        run.loop.run_until_complete(asyncio.wait(left, timeout=drain_ms / 1000))
    run.loop.close()


async def direct(run: Run, random: Random, watch: bool) -> None:
    """Upstream speaks when its time comes, and there is always a worker."""
    for index, one in enumerate(run.scenario.publications):
        run.loop.after(one.at, publisher(run, index))
    begin(run, Disk(random), random, watch)
    pauses = sum(kill.pause_ms + kill.after_ms for kill in run.kills)
    spending = len(run.scenario.tales) * calls_each * 10_000 // run.world.rate.per_window
    await asyncio.sleep((run.scenario.ends + pauses + spending) / 1000)
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


def begin(run: Run, disk: Disk, random: Random, watch: bool = False) -> None:
    """A worker starts; should it die, another one does, a little later."""
    number = len(run.workers)
    kill = run.kills[number] if number < len(run.kills) else None
    skew = random.randint(-run.world.skew_ms, run.world.skew_ms)
    setup = Setup(partition, partitions, f"worker-{number}", rate=run.world.rate, probe_size=run.world.probe_size)
    worker = Worker(setup, run.loop, run.kafka, run.server, run.trace, disk, kill, skew)
    worker.points = [] if watch else None

    def died(worker: Worker) -> None:
        assert kill is not None
        worker.replaced = True
        left = worker.disk.left(kill.state)
        run.loop.after(kill.pause_ms, lambda: begin(run, left, random))

    worker.died = died
    run.workers.append(worker)
    worker.start()


def publisher(run: Run, index: int) -> Callable[[], None]:
    def publish() -> None:
        one = run.scenario.publications[index]
        timestamp = time(one.at if one.timestamp is None else one.timestamp)
        run.offsets[one.topic, len(run.kafka.log(one.topic, partition))] = index
        entry = Entry(one.key.encode(), one.value, one.headers, timestamp)
        run.kafka.publish(one.topic, partition, entry, one.transaction)
        run.trace.say(
            "upstream",
            f"publishes to {one.topic}",
            event=one.event,
            value=(one.value or b"")[:200].decode(errors="replace"),
        )

    return publish


def ended(worker: Worker, expected: Collection[str]) -> list[str]:
    """How a runner ended that should have ended in one of these ways."""
    if not worker.task.done():
        return [f"{worker.name} does not end"]
    if worker.task.cancelled() or worker.task.exception():
        return [
            f"{worker.name} ended with {worker.task.exception() if not worker.task.cancelled() else 'a cancellation'!r}"
        ]
    return [] if worker.task.result() in expected else [f"{worker.name} ended as {worker.task.result()}"]
