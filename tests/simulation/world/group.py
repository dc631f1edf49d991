"""A consumer group in memory: its coordinator, and a member that hears of it.

`member` stands for `processor.kafka.join_group`: it reports to the real `Membership`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from processor.engine.group import GroupIntervals, GroupListener
from tests.simulation.world.broker import ask, deliver
from tests.simulation.world.coordinator import Group, HeartbeatReply, Moved, Reply, replaced
from tests.simulation.world.loop import Process, fulfil, refuse

__all__ = ["Group", "Moved", "member"]

ask_within_s: Final = 10.0


async def member(
    group: Group, process: Process, intervals: GroupIntervals, listener: GroupListener, instance: str | None = None
) -> None:
    """Be a member until cancelled, as aiokafka is one below `join_group`. Raise InstanceReplaced.

    The last assignment holds for it until the next one.
    """
    here = Joined(group, process, intervals, instance)
    try:
        while True:
            asked = here.now()
            listener.assigned(await here.join(), asked)
            while True:
                await asyncio.sleep(intervals.heartbeat_ms / 1000)
                asked = here.now()
                response = await here.heartbeat()
                if response == "ok":
                    listener.confirmed(asked)
                elif response is not None:
                    break
    finally:
        here.leave()


@dataclass
class Joined:
    """The side of one process."""

    group: Group
    process: Process
    intervals: GroupIntervals
    instance: str | None
    id: str = ""
    forgotten: str = ""  # its id when the coordinator had forgotten it
    generation: int = 0

    def now(self) -> int:
        return int(self.group.kafka.loop.time() * 1000)

    async def join(self) -> frozenset[int]:
        group, instance = self.group, self.instance
        while True:
            if instance and self.forgotten:  # no heartbeat names the instance: whether another one has it must be asked
                if await ask(group.kafka, self.process, partial(group.is_replaced, self.forgotten, instance)):
                    raise replaced(instance)
                self.forgotten = ""
            asked = self.id
            join = partial(group.join, self.process, asked, self.intervals.session_ms, instance)
            self.id, self.generation = await self._long(join)
            if not self.id:
                self.forgotten = asked
                continue
            owned = await self._long(lambda: group.sync(self.id, self.generation, instance))
            if owned is not None:
                return owned

    async def heartbeat(self) -> HeartbeatReply | None:
        """Return None if there was no response."""
        try:
            async with asyncio.timeout(ask_within_s):
                asked = self.id, self.generation
                response = await ask(self.group.kafka, self.process, lambda: self.group.heartbeat(*asked))
        except TimeoutError:
            return None
        if response == "unknown":
            self.id, self.forgotten = "", self.id
        return response

    def leave(self) -> None:
        """Leave without waiting for a response. A static member sends nothing, because its successor may come."""
        known = self.id and self.instance is None
        if not self.process.dead and known and self.group.kafka.reached_by(self.process):
            self.group.kafka.loop.after(self.group.kafka.travel_ms(), lambda: self.group.leave(self.id))

    async def _long(self, arrive: "Callable[[], asyncio.Future[Reply]]") -> Reply:
        """Send a request that gets its response when the group is ready."""
        kafka = self.group.kafka
        pending = await ask(kafka, self.process, arrive)
        reply: asyncio.Future[Reply] = kafka.loop.create_future()

        def answers(done: "asyncio.Future[Reply]") -> None:
            error = done.exception()
            came = (
                partial(refuse, reply, error) if isinstance(error, Exception) else partial(fulfil, reply, done.result())
            )
            deliver(kafka, self.process, came)

        pending.add_done_callback(answers)
        return await reply
