"""Simulate a member of a consumer group.

`member` stands for `processor.kafka.join_group`: it reports to the real `Membership`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from processor.engine.group import GroupIntervals, GroupListener
from tests.simulation.world.broker import ask, deliver
from tests.simulation.world.coordinator import Group, HeartbeatResult, Moved, Reply, replaced
from tests.simulation.world.loop import Process, set_error, set_result

__all__ = ["Group", "Moved", "member"]

ask_within_s: Final = 10.0


async def member(
    group: Group, process: Process, intervals: GroupIntervals, listener: GroupListener, instance: str | None = None
) -> None:
    """Be a member until cancelled, as aiokafka is one below `join_group`. Raise InstanceReplaced.

    The member believes the coordinator's last response until the next one comes.
    """
    here = Joined(group, process, intervals, instance)
    try:
        while True:
            asked = here.now()
            listener.assigned(await here.join(), asked)
            while True:
                await asyncio.sleep(intervals.heartbeat_ms / 1000)
                asked = here.now()
                result = await here.heartbeat()
                if result == "ok":
                    listener.confirmed(asked)
                elif result is not None:
                    break
    finally:
        here.leave()


@dataclass
class Joined:
    """One process's side of the group."""

    group: Group
    process: Process
    intervals: GroupIntervals
    instance: str | None
    id: str = ""
    forgotten: str = ""  # the id that it had when the coordinator didn't know it
    generation: int = 0

    def now(self) -> int:
        return int(self.group.kafka.loop.time() * 1000)

    async def join(self) -> frozenset[int]:
        group, instance = self.group, self.instance
        while True:
            if instance and self.forgotten:  # no heartbeat names the instance: ask if another member has it
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

    async def heartbeat(self) -> HeartbeatResult | None:
        """Send a heartbeat. Return None when no response comes."""
        try:
            async with asyncio.timeout(ask_within_s):
                asked = self.id, self.generation
                result = await ask(self.group.kafka, self.process, lambda: self.group.heartbeat(*asked))
        except TimeoutError:
            return None
        if result == "unknown":
            self.id, self.forgotten = "", self.id
        return result

    def leave(self) -> None:
        """Leave without waiting for a response. A static member doesn't leave: its successor may come."""
        known = self.id and self.instance is None
        if not self.process.dead and known and self.group.kafka.reached_by(self.process):
            self.group.kafka.loop.after(self.group.kafka.travel_ms(), lambda: self.group.leave(self.id))

    async def _long(self, arrive: "Callable[[], asyncio.Future[Reply]]") -> Reply:
        """Send a request whose response comes when the group is ready."""
        kafka = self.group.kafka
        pending = await ask(kafka, self.process, arrive)
        reply: asyncio.Future[Reply] = kafka.loop.create_future()

        def respond(done: "asyncio.Future[Reply]") -> None:
            error = done.exception()
            came = (
                partial(set_error, reply, error)
                if isinstance(error, Exception)
                else partial(set_result, reply, done.result())
            )
            deliver(kafka, self.process, came)

        pending.add_done_callback(respond)
        return await reply
