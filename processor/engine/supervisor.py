"""Run the partitions that membership says are ours, each with a runner of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from processor.engine.group import monotonic_ms
from processor.engine.runner import Ended

drain_s: Final = 6.0  # SIGTERM: of 10 s, the rest is for closing connections that don't respond

RunPartition = Callable[[int, asyncio.Event], Awaitable[Ended]]


class Owner(Protocol):
    """The part of `Membership` that the supervisor needs. Times are milliseconds of the event loop."""

    def owned(self) -> frozenset[int]: ...
    async def changed(self) -> frozenset[int]: ...
    async def confirmed_after(self, since_ms: int) -> None: ...


@dataclass(slots=True)
class RunningPartition:
    task: asyncio.Task[None]
    stop: asyncio.Event


async def supervise(
    owner: Owner, run: RunPartition, report_owned: Callable[[frozenset[int]], None], stop: asyncio.Event
) -> None:
    """Start and end runners as partitions come and go, until `stop`; then drain them all.

    Revoking a partition ends its runner; one that comes back in the same rebalance was never touched. Raises the
    owner's error after the drain.
    """
    running: dict[int, RunningPartition] = {}
    stopped = asyncio.create_task(stop.wait(), name="stop")
    changed = asyncio.create_task(owner.changed(), name="ownership")  # outside of the group: it may fail, runners drain
    async with asyncio.TaskGroup() as tasks:
        reported: frozenset[int] | None = None
        while not stop.is_set():
            owned = owner.owned()
            if owned != reported:
                report_owned(owned)
                reported = owned
            for partition in running.keys() - owned:
                running[partition].stop.set()
            for partition in sorted(owned - running.keys()):
                end = asyncio.Event()
                task = tasks.create_task(keep_running(owner, run, partition, end), name=f"partition {partition}")
                running[partition] = RunningPartition(task, end)
            ends = [one.task for one in running.values()]
            await asyncio.wait([stopped, changed, *ends], return_when=asyncio.FIRST_COMPLETED)
            if changed.done():
                if changed.exception():
                    break
                changed = asyncio.create_task(owner.changed(), name="ownership")
            running = {partition: one for partition, one in running.items() if not one.task.done()}
        await _drain(running)
    stopped.cancel()
    if not changed.done():
        changed.cancel()
    elif error := changed.exception():
        raise error


async def _drain(running: dict[int, RunningPartition]) -> None:
    """End all runners. Cancel those that take too long: Kafka doesn't respond, and their work loses nothing."""
    for one in running.values():
        one.stop.set()
    if running:
        _, late = await asyncio.wait([one.task for one in running.values()], timeout=drain_s)
        for task in late:
            task.cancel()


async def keep_running(owner: Owner, run: RunPartition, partition: int, stop: asyncio.Event) -> None:
    """Run one partition while it is ours.

    When another worker has it, or may have it, start again only after a later heartbeat says that it is ours.
    """
    while await run(partition, stop) != "stopped" and not stop.is_set():
        confirmed = asyncio.create_task(owner.confirmed_after(monotonic_ms()), name=f"confirm {partition}")
        ended = asyncio.create_task(stop.wait(), name=f"end {partition}")
        await asyncio.wait([confirmed, ended], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not confirmed.cancel() and confirmed.exception():
            return  # `changed` raises it too
        if stop.is_set() or partition not in owner.owned():
            return
