"""A consumer group in memory, eager and sticky: who owns which partition, as the coordinator sees it, and a member that
hears of it.

`Group` is the coordinator: a change of members makes all of them join anew, one of them deals out the partitions, and
who sends no heartbeat for a session is out. `member` stands for `processor.engine.log.join`: it tells the real
`Membership` what it hears.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, TypeVar

from processor.engine.log import Heard, Intervals

from .broker import Kafka, ask, deliver
from .loop import Process, settle

Said = Literal["ok", "rebalancing", "unknown"]
Reply = TypeVar("Reply")
initial_delay_ms: Final = 100  # an empty group waits a little for more members
ask_within_s: Final = 10.0


@dataclass(slots=True)
class Member:
    id: str
    process: Process
    session: int = 0  # ms since 1970: out by then, unless it is heard of
    joining: asyncio.Future[tuple[str, int]] | None = None
    syncing: asyncio.Future[frozenset[int] | None] | None = None
    owned: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Moved:
    """A partition was given to another process."""

    at: int
    partition: int
    to: str


@dataclass
class Group:
    """The coordinator. As all of the broker, it lives on when its members don't."""

    kafka: Kafka
    partitions: Sequence[int]
    intervals: Intervals = field(default_factory=Intervals)
    moved: list[Moved] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)  # partition → process
    generation: int = 0

    def __post_init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._phase: Literal["empty", "joining", "syncing", "stable"] = "empty"
        self._leader = ""
        self._numbers = 0

    # requests, as they arrive

    def join(self, process: Process, member_id: str) -> "asyncio.Future[tuple[str, int]]":
        """Answered once all members have joined: a member id and the generation; an empty id for one that is
        unknown."""
        reply: asyncio.Future[tuple[str, int]] = self.kafka.loop.create_future()
        if member_id and member_id not in self._members:
            reply.set_result(("", 0))
            return reply
        if not member_id:
            self._numbers += 1
            member_id = f"{process.name} as member {self._numbers}"
            self._members[member_id] = Member(member_id, process)
        self._members[member_id].joining = reply
        if self._phase == "empty":
            self._rebalance(settles_ms=initial_delay_ms)
        else:
            self._rebalance()
        return reply

    def sync(self, member_id: str, generation: int) -> "asyncio.Future[frozenset[int] | None]":
        """Answered with what is the member's, once the leader has dealt; None: join again."""
        reply: asyncio.Future[frozenset[int] | None] = self.kafka.loop.create_future()
        member = self._members.get(member_id)
        if member is None or generation != self.generation or self._phase not in ("syncing", "stable"):
            reply.set_result(None)
            return reply
        self._heard(member)
        member.syncing = reply
        if self._phase == "syncing" and member_id == self._leader:
            self._deal()
        if self._phase == "stable":
            self._hand_out()
        return reply

    def heartbeat(self, member_id: str, generation: int) -> Said:
        member = self._members.get(member_id)
        if member is None or generation != self.generation:
            return "unknown"
        self._heard(member)
        return "rebalancing" if self._phase == "joining" else "ok"

    def leave(self, member_id: str) -> None:
        self._out(member_id, "leaves the group")

    def restarted(self) -> None:
        """A coordinator that comes back gives each member a session anew."""
        for member in self._members.values():
            self._heard(member)

    # what follows from them

    def _rebalance(self, settles_ms: int = 0) -> None:
        if self._phase != "joining":
            self._phase = "joining"
            for member in self._members.values():
                if member.syncing:
                    settle(member.syncing, None)
        self.kafka.loop.after(settles_ms, self._complete)

    def _complete(self) -> None:
        """All who are members have joined: a generation begins."""
        members = list(self._members.values())
        if self._phase != "joining" or any(member.joining is None for member in members):
            return
        self.generation += 1
        self._phase = "syncing" if members else "empty"
        for member in members:
            self._heard(member)
            if member.joining:
                settle(member.joining, (member.id, self.generation))
            member.joining = member.syncing = None
        self._leader = members[0].id if members else ""

    def _deal(self) -> None:
        """Evenly, and as few as possible change hands."""
        members = list(self._members.values())
        least, more = divmod(len(self.partitions), len(members))
        free = set(self.partitions)
        dealt: dict[str, set[int]] = {}
        for member in sorted(members, key=lambda one: -len(one.owned)):
            most = least + (1 if more > 0 else 0)
            dealt[member.id] = set(sorted(member.owned & free)[:most])
            more -= len(dealt[member.id]) > least
            free -= dealt[member.id]
        for partition in sorted(free):
            dealt[min(dealt, key=lambda one: (len(dealt[one]), one))].add(partition)
        for member in members:
            member.owned = frozenset(dealt[member.id])
            for partition in sorted(member.owned):
                if self.owners.get(partition) != member.process.name:
                    self.owners[partition] = member.process.name
                    self.moved.append(Moved(self.kafka.loop.ms, partition, member.process.name))
        self._phase = "stable"
        shares = {member.process.name: sorted(member.owned) for member in members}
        self.kafka.trace.say("group", f"deals in generation {self.generation}", **shares)

    def _hand_out(self) -> None:
        for member in self._members.values():
            if member.syncing:
                settle(member.syncing, member.owned)

    def _heard(self, member: Member) -> None:
        member.session = self.kafka.loop.ms + self.intervals.session_ms
        self.kafka.loop.after(self.intervals.session_ms, lambda: self._expire(member))

    def _expire(self, member: Member) -> None:
        if self.kafka.gone or self.kafka.loop.ms < member.session or self._members.get(member.id) is not member:
            return  # a coordinator that is gone counts nobody out
        if member.joining is None:  # who waits for the others isn't asked for heartbeats
            self._out(member.id, "is counted out of the group")

    def _out(self, member_id: str, how: str) -> None:
        member = self._members.pop(member_id, None)
        if member is not None:
            self.kafka.trace.say(member.process.name, how)
            self._rebalance()


async def member(group: Group, process: Process, intervals: Intervals, heard: Heard) -> None:
    """Be a member until cancelled, as aiokafka is one below `join`: what it has heard last stays true to it until it
    hears anew."""
    here = Joined(group, process, intervals)
    try:
        while True:
            asked = here.now()
            heard.assigned(await here.join(), asked)
            while True:
                await asyncio.sleep(intervals.heartbeat_ms / 1000)
                asked = here.now()
                said = await here.heartbeat()
                if said == "ok":
                    heard.confirmed(asked)
                elif said is not None:
                    break
    finally:
        here.leave()


@dataclass
class Joined:
    """One process's side of the group."""

    group: Group
    process: Process
    intervals: Intervals
    id: str = ""
    generation: int = 0

    def now(self) -> int:
        return int(self.group.kafka.loop.time() * 1000)

    async def join(self) -> frozenset[int]:
        while True:
            self.id, self.generation = await self._long(lambda: self.group.join(self.process, self.id))
            if not self.id:
                continue
            owned = await self._long(lambda: self.group.sync(self.id, self.generation))
            if owned is not None:
                return owned

    async def heartbeat(self) -> Said | None:
        """None: no answer."""
        try:
            async with asyncio.timeout(ask_within_s):
                asked = self.id, self.generation
                said = await ask(self.group.kafka, self.process, lambda: self.group.heartbeat(*asked))
        except TimeoutError:
            return None
        self.id = "" if said == "unknown" else self.id
        return said

    def leave(self) -> None:
        """No answer is waited for."""
        if not self.process.dead and self.id and self.group.kafka.reached_by(self.process):
            self.group.kafka.loop.after(self.group.kafka.travel_ms(), lambda: self.group.leave(self.id))

    async def _long(self, arrive: "Callable[[], asyncio.Future[Reply]]") -> Reply:
        """A request that is answered when the group is ready."""
        kafka = self.group.kafka
        pending = await ask(kafka, self.process, arrive)
        reply: asyncio.Future[Reply] = kafka.loop.create_future()
        pending.add_done_callback(lambda done: deliver(kafka, self.process, partial(settle, reply, done.result())))
        return await reply
