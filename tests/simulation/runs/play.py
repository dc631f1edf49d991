"""Play a workload to its end with one worker at a time. The same seed and kills give the same run, bit for bit."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, Final

import pytest

from processor.highlevel import requests, responses
from processor.shard import timers
from processor.shard.jobs import backfill, export, planning, scan
from processor.shard.setup import Setup
from tests.lab.workload.times import since_1970
from tests.lab.workload.workload import Workload, partition
from tests.simulation.faults.clock_steps import ClockStep
from tests.simulation.faults.group_faults import GroupFault
from tests.simulation.faults.kills import Kill
from tests.simulation.world.broker import Entry, Kafka, again_ms
from tests.simulation.world.clock import WallOffset
from tests.simulation.world.conversations import Conversations
from tests.simulation.world.highlevel import Server
from tests.simulation.world.loop import Stuck, VirtualLoop
from tests.simulation.world.state_disk import Disk
from tests.simulation.world.trace import Trace
from tests.simulation.world.worker import Worker

from .run import Run, World, whole_pages

drain_ms: Final = 10_000  # after SIGTERM a worker leaves within this time
recovery_ms: Final = 720_000  # after an outage or a refused token: a trial comes once in 10 minutes
calls_each: Final = 5  # a lead needs no more, even if all leads were in one location and asked about alone


def play(workload: Workload, kills: Sequence[Kill] = (), world: World | None = None, watch: bool = False) -> Run:
    """Play it with workers that die one after another; the last one drains at the end.

    With `watch`, the first worker records the points at which it could have died.
    """
    random = Random(f"{workload.seed} play")
    run = prepare(workload, world or World(), kills)
    return finish(run, run_one_worker(run, random, watch))


def prepare(workload: Workload, world: World, kills: Sequence[Kill] = (), faults: Sequence[GroupFault] = ()) -> Run:
    """Make a run in which nothing has happened yet."""
    loop = VirtualLoop()
    trace = Trace(loop)
    kafka = Kafka(loop, Random(f"{workload.seed} kafka"), trace, world.kafka_faults)
    server = Server(
        loop,
        Random(f"{workload.seed} highlevel"),
        trace,
        world.rate.ceiling,
        workload.contacts,
        workload.raw_names,
        workload.poison,
        world.network,
        world.highlevel_faults,
        Conversations(workload.messages),
    )
    run = Run(workload, world, kills, loop, kafka, server, trace, faults=faults)
    for index, one in enumerate(workload.publications):
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
        cancel_all(run)
    return run


@contextmanager
def pages_of(limit: int) -> Iterator[None]:
    """Patch the page size of HighLevel, which is a constant of its contract.

    Where pages are small, a turn takes a part of a page, and a few of a job's leads.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "page_limit", limit)
        patch.setattr(responses, "page_limit", limit)
        patch.setattr(planning, "page_limit", limit)
        patch.setattr(export, "page_limit", limit)
        if limit < whole_pages:
            patch.setattr(scan, "contacts_at_once", max(1, limit // 3))
            patch.setattr(timers, "walk_touches_at_once", limit)
            patch.setattr(export, "messages_at_once", limit // 2)
            patch.setattr(backfill, "locations_at_once", 1)
        yield


def cancel_all(run: Run) -> None:
    """Cancel all tasks in a dead world, so that no coroutine is left to the garbage collector."""
    for worker in run.workers:
        worker.dead = True
        run.loop.thaw(worker)
    if left := asyncio.all_tasks(run.loop):
        for task in left:
            task.cancel()
        run.loop.run_until_complete(asyncio.wait(left, timeout=drain_ms / 1000))
    run.loop.close()


async def run_one_worker(run: Run, random: Random, watch: bool) -> None:
    """Keep one worker alive until all work must be done, and then let the last one drain."""
    start_worker(run, Disk(random), random, watch)
    pauses = sum(kill.pause_ms + kill.after_ms for kill in run.kills)
    lasts = max(run.workload.ends, run.world.highlevel_faults.over + recovery_ms)
    await asyncio.sleep((lasts + pauses + work_takes_ms(run)) / 1000)
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
            run.crashed += wrong_end(worker, {"stopped", "fenced"} if worker.replaced else {"stopped"})


def work_takes_ms(run: Run) -> int:
    """Return a bound of the time that all calls take, even if all were of one location."""
    jobs, contacts = len(run.workload.jobs), len(run.workload.contacts)
    calls = len(run.workload.leads) * calls_each * (1 + jobs) + contacts // run.world.page_limit * 2 * jobs
    calls += len(run.workload.messages) * (1 + jobs)
    return calls * 10_000 // run.world.rate.per_window + run.world.rest_ms


def start_worker(run: Run, disk: Disk, random: Random, watch: bool = False) -> None:
    """Start a worker. If it is killed, another one starts a little later."""
    number = len(run.workers)
    kill = run.kills[number] if number < len(run.kills) else None
    wall = WallOffset(random.randint(-run.world.skew_ms, run.world.skew_ms))
    worker = Worker(worker_setup(run, f"worker-{number}"), *world_parts(run), {partition: disk}, kill, wall)
    worker.points = [] if watch else None

    def died(worker: Worker) -> None:
        assert kill is not None
        worker.replaced = True
        left = worker.disks[partition].left(kill.state)
        run.loop.after(kill.pause_ms, lambda: start_worker(run, left, random))

    worker.died = died
    run.workers.append(worker)
    worker.start()


def worker_setup(run: Run, name: str) -> Setup:
    return Setup(partition, run.workload.partitions, name, rate=run.world.rate, probe_size=run.world.probe_size)


def world_parts(run: Run) -> tuple[VirtualLoop, Kafka, Server, Trace]:
    """Return the parts of the world that a worker needs."""
    return run.loop, run.kafka, run.server, run.trace


def set_wall(run: Run, step: ClockStep) -> None:
    """Set the wall clock of a machine; without effect if no worker has started there yet."""
    name = f"worker-{step.who}"
    here = next((one for one in reversed(run.workers) if one.name.partition(".")[0] == name), None)
    if here is not None:
        skew = here.wall.skew_ms
        to = skew + step.by if step.within_ms is None else max(-step.within_ms, min(skew + step.by, step.within_ms))
        here.stepped(to - skew)


def publisher(run: Run, index: int) -> Callable[[], None]:
    """Publish in order. While Kafka is away, upstream tries again, so no request overtakes the leads that it is about."""

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
    one = run.workload.publications[index]
    where = run.workload.partition_of(one)
    run.offsets[one.topic, where, len(run.kafka.log(one.topic, where))] = index
    timestamp = since_1970(one.at if one.timestamp is None else one.timestamp)
    run.kafka.publish(one.topic, where, Entry(one.key.encode(), one.value, one.headers, timestamp), one.transaction)
    shown = (one.value or b"")[:200].decode(errors="replace")
    run.trace.add("upstream", f"publishes to {one.topic} {where}", event=one.event, value=shown)


def wrong_end(worker: Worker, expected: Collection[str]) -> list[str]:
    """Return how a runner ended, if it didn't end in one of the expected ways."""
    if not worker.task.done():
        return [f"{worker.name} does not end"]
    if worker.task.cancelled():
        return [f"{worker.name} was cancelled"]
    if error := worker.task.exception():
        return [f"{worker.name} ended with {error!r}"]
    return [] if worker.task.result() in expected else [f"{worker.name} ended as {worker.task.result()}"]
