"""Which partitions run here: those that membership says are ours, each by a runner of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from processor.engine.runner import Ended

drain_s: Final = 6.0  # SIGTERM: of 10 s, the rest is for closing what doesn't answer

Run = Callable[[int, asyncio.Event], Awaitable[Ended]]


class Owner(Protocol):
    """What `membership.py` knows; times are the event loop's, in ms."""

    def owned(self) -> frozenset[int]: ...
    async def changed(self) -> frozenset[int]: ...
    async def confirmed_after(self, since_ms: int) -> None: ...


@dataclass(slots=True)
class Running:
    task: asyncio.Task[None]
    stop: asyncio.Event


async def supervise(owner: Owner, run: Run, owns: Callable[[frozenset[int]], None], stop: asyncio.Event) -> None:
    """Start and end runners as partitions come and go, until `stop`; then drain them all. Revoking is ending the runner;
    one that comes back in the same rebalance was never touched. Raises what the owner does, when they are drained."""
    running: dict[int, Running] = {}
    stopped = asyncio.create_task(stop.wait(), name="stop")
    changed = asyncio.create_task(owner.changed(), name="ownership")  # no child of the group: it may fail, they drain
    async with asyncio.TaskGroup() as tasks:
        told: frozenset[int] | None = None
        while not stop.is_set():
            owned = owner.owned()
            if owned != told:
                owns(owned)
                told = owned
            for partition in running.keys() - owned:
                running[partition].stop.set()
            for partition in sorted(owned - running.keys()):
                end = asyncio.Event()
                task = tasks.create_task(keep(owner, run, partition, end), name=f"partition {partition}")
                running[partition] = Running(task, end)
            ends = [one.task for one in running.values()]
            await asyncio.wait([stopped, changed, *ends], return_when=asyncio.FIRST_COMPLETED)
            if changed.done():
                if changed.exception():
                    break
                changed = asyncio.create_task(owner.changed(), name="ownership")
            running = {partition: one for partition, one in running.items() if not one.task.done()}
        for one in running.values():
            one.stop.set()
        if running:
            _, late = await asyncio.wait([one.task for one in running.values()], timeout=drain_s)
            for task in late:  # Kafka doesn't answer: whatever they wait for, nobody loses it
                task.cancel()
    stopped.cancel()
    if not changed.done():
        changed.cancel()
    elif error := changed.exception():
        raise error


async def keep(owner: Owner, run: Run, partition: int, stop: asyncio.Event) -> None:
    """Run one partition while it is ours. Someone else has it, or may have: start again only when a later heartbeat says
    that it is ours."""
    while await run(partition, stop) != "stopped" and not stop.is_set():
        fenced_ms = int(asyncio.get_running_loop().time() * 1000)
        confirmed = asyncio.create_task(owner.confirmed_after(fenced_ms), name=f"confirm {partition}")
        ended = asyncio.create_task(stop.wait(), name=f"end {partition}")
        await asyncio.wait([confirmed, ended], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not confirmed.cancel() and confirmed.exception():
            return  # `changed` raises it too
        if stop.is_set() or partition not in owner.owned():
            return
