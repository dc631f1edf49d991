"""Halfway one of the workers is killed by SIGKILL, which nobody can prepare for, and a new one takes its place."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.lab.demo.stage import Worker, share

moment_s: Final = 1.0  # between the kill and the new worker's start


@dataclass(slots=True)
class Kill:
    """The one end of a worker that is meant to be. Times are monotonic, s."""

    worker: str = ""
    at: float | None = None  # None: not yet
    back_at: float | None = None  # when a new one had partitions, and all were somebody's

    def disturbs(self, begin: float, end: float) -> bool:
        """Whether a worker was dead at some moment in between."""
        return self.at is not None and self.at <= end and (self.back_at is None or begin <= self.back_at)

    def told(self, now: float) -> str:
        if self.at is None:
            return "none yet"
        if self.back_at is None:
            return f"{self.worker}, {now - self.at:.0f} s ago; a new one takes its place"
        return f"{self.worker}, kill -9; {self.back_at - self.at:.1f} s later a new one had its partitions"


async def kill_one(kill: Kill, workers: Sequence[Worker], partitions: int) -> AsyncIterator[str]:
    """The one that has heard most: it has the location that is synced as a whole, and all locations of a small demo may be one
    worker's. Tells what happens, when it has happened.

    The new one has its predecessor's folder and port, as after a restart on the same machine.
    """
    heard = [await asyncio.to_thread(worker.heard) for worker in workers]
    victim = workers[heard.index(max(heard))]
    owned = await asyncio.to_thread(victim.owned)
    await asyncio.to_thread(victim.kill)
    kill.worker, kill.at = victim.name, time.monotonic()
    yield f"half the leads are done: {victim.name} is killed (-9), with {owned} partitions"
    await asyncio.sleep(moment_s)
    victim.start()
    yield f"a new {victim.name} starts; Kafka must first miss the dead one"
    shared = await share(workers, partitions)
    kill.back_at = time.monotonic()
    yield (
        f"the new {victim.name} took over: {' and '.join(map(str, shared))} partitions, "
        f"{kill.back_at - kill.at:.1f} s after the kill"
    )
