"""Simulate the coordinator of a consumer group, eager and sticky: it assigns the partitions.

A change of members makes all of them join anew, and one of them deals out the partitions. A member without a heartbeat
for a session is out. A static member has an instance id: the next member with this id takes its place, and nothing moves.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from processor.engine.group import InstanceReplaced
from tests.simulation.world.broker import Kafka
from tests.simulation.world.loop import Process, set_error, set_result

HeartbeatResult = Literal["ok", "rebalancing", "unknown"]
Reply = TypeVar("Reply")
initial_delay_ms: Final = 100  # an empty group waits a little for more members


@dataclass(slots=True)
class Member:
    id: str
    process: Process
    session_ms: int
    instance: str | None  # it is a static member
    session: int = 0  # ms since 1970: out by then, unless a heartbeat comes
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
    """The coordinator. It is a part of the broker: it lives on when its members don't."""

    kafka: Kafka
    partitions: Sequence[int]
    moved: list[Moved] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)  # partition → process
    generation: int = 0

    def __post_init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._phase: Literal["empty", "joining", "syncing", "stable"] = "empty"
        self._leader = ""
        self._numbers = 0

    # requests, as they arrive

    def join(
        self, process: Process, member_id: str, session_ms: int, instance: str | None
    ) -> "asyncio.Future[tuple[str, int]]":
        """Return a future of a member id and the generation, set once all members have joined. An unknown id gets "".

        The successor of a static member gets its share at once when the group is at rest.
        """
        reply: asyncio.Future[tuple[str, int]] = self.kafka.loop.create_future()
        if self.is_replaced(member_id, instance):
            turn_away(reply, instance)
            return reply
        if member_id and member_id not in self._members:
            reply.set_result(("", 0))
            return reply
        if not member_id:
            self._numbers += 1
            member_id = f"{process.name} as member {self._numbers}"
            if self._take(Member(member_id, process, session_ms, instance)) and self._phase == "stable":
                reply.set_result((member_id, self.generation))
                return reply
        self._members[member_id].joining = reply
        if self._phase == "empty":
            self._rebalance(delay_ms=initial_delay_ms)
        else:
            self._rebalance()
        return reply

    def sync(self, member_id: str, generation: int, instance: str | None) -> "asyncio.Future[frozenset[int] | None]":
        """Return a future of the member's partitions, set once the leader has dealt. None means: join again."""
        reply: asyncio.Future[frozenset[int] | None] = self.kafka.loop.create_future()
        if self.is_replaced(member_id, instance):
            turn_away(reply, instance)
            return reply
        member = self._members.get(member_id)
        if member is None or generation != self.generation or self._phase not in ("syncing", "stable"):
            reply.set_result(None)
            return reply
        self._extend_session(member)
        member.syncing = reply
        if self._phase == "syncing" and member_id == self._leader:
            self._deal()
        if self._phase == "stable":
            self._hand_out()
        return reply

    def heartbeat(self, member_id: str, generation: int) -> HeartbeatResult:
        member = self._members.get(member_id)
        if member is None or generation != self.generation:
            return "unknown"
        self._extend_session(member)
        return "rebalancing" if self._phase == "joining" else "ok"

    def is_replaced(self, member_id: str, instance: str | None) -> bool:
        """True if another member has its instance id."""
        holder = self._holder(instance)
        return bool(member_id) and holder is not None and holder.id != member_id

    def leave(self, member_id: str) -> None:
        self._out(member_id, "leaves the group")

    def restarted(self) -> None:
        """Give each member a new session when the coordinator comes back."""
        for member in self._members.values():
            self._extend_session(member)

    # what follows from them

    def _holder(self, instance: str | None) -> Member | None:
        return next((one for one in self._members.values() if instance is not None and one.instance == instance), None)

    def _take(self, member: Member) -> bool:
        """Add a member. Return True if it took another one's place, and its share."""
        old = self._holder(member.instance)
        if old is None:
            self._members[member.id] = member
            return False
        self.kafka.trace.add(member.process.name, f"takes the place of {old.id}")
        self._members = {one.id: one for one in (member if one is old else one for one in self._members.values())}
        member.owned = old.owned
        self._leader = member.id if self._leader == old.id else self._leader
        if old.joining:
            turn_away(old.joining, old.instance)
        if old.syncing:
            turn_away(old.syncing, old.instance)
        self._extend_session(member)
        if self._phase == "stable":
            self._belongs_to(member)
        return True

    def _rebalance(self, delay_ms: int = 0) -> None:
        if self._phase != "joining":
            self._phase = "joining"
            for member in self._members.values():
                if member.syncing:
                    set_result(member.syncing, None)
        self.kafka.loop.after(delay_ms, self._complete)

    def _complete(self) -> None:
        """Begin a generation when all members have joined."""
        members = list(self._members.values())
        if self._phase != "joining" or any(member.joining is None for member in members):
            return
        self.generation += 1
        self._phase = "syncing" if members else "empty"
        for member in members:
            self._extend_session(member)
            if member.joining:
                set_result(member.joining, (member.id, self.generation))
            member.joining = member.syncing = None
        self._leader = members[0].id if members else ""

    def _deal(self) -> None:
        """Deal the partitions out evenly; as few as possible change hands."""
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
            self._belongs_to(member)
        self._phase = "stable"
        shares = {member.process.name: sorted(member.owned) for member in members}
        self.kafka.trace.add("group", f"deals in generation {self.generation}", **shares)

    def _belongs_to(self, member: Member) -> None:
        for partition in sorted(member.owned):
            if self.owners.get(partition) != member.process.name:
                self.owners[partition] = member.process.name
                self.moved.append(Moved(self.kafka.loop.ms, partition, member.process.name))

    def _hand_out(self) -> None:
        for member in self._members.values():
            if member.syncing:
                set_result(member.syncing, member.owned)

    def _extend_session(self, member: Member) -> None:
        member.session = self.kafka.loop.ms + member.session_ms
        self.kafka.loop.after(member.session_ms, lambda: self._expire(member))

    def _expire(self, member: Member) -> None:
        if self.kafka.gone or self.kafka.loop.ms < member.session or self._members.get(member.id) is not member:
            return  # a coordinator that is gone counts no member out
        if member.joining is None:  # a member that waits for the others sends no heartbeats
            self._out(member.id, "is counted out of the group")

    def _out(self, member_id: str, how: str) -> None:
        member = self._members.pop(member_id, None)
        if member is not None:
            self.kafka.trace.add(member.process.name, how)
            self._rebalance()


def replaced(instance: str | None) -> InstanceReplaced:
    return InstanceReplaced(f"another worker has joined as {instance}")


def turn_away(reply: "asyncio.Future[Reply]", instance: str | None) -> None:
    set_error(reply, replaced(instance))
    reply.exception()  # mark it as retrieved: its process may be gone
