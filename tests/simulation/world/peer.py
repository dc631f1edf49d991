"""A worker that shares the partitions with others: the real membership and supervisor say which of them run there."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from processor.engine.membership import Membership
from processor.engine.runner import Ended, run
from processor.engine.supervisor import supervise
from processor.kafka import Heard, Intervals, KafkaConfig, Replaced
from tests.simulation.faults.kills import Kill

from .group import Group, member
from .state_disk import MortalState
from .worker import Worker

copy_every: Final = 40  # commits: one of these copies may be what is left of the state file


@dataclass
class Peer(Worker):
    """It is wired as in `app.work`: a runner for each partition that membership says is its own.

    As a static member it ends once another worker has joined under its instance id.
    """

    group: Group | None = None
    instance: str | None = None  # it is a static member
    opened: dict[int, MortalState] = field(default_factory=dict)

    async def work(self) -> object:
        try:
            config = KafkaConfig("simulated", group_instance_id=self.instance)
            async with Membership(config, member=self.join) as membership:
                await supervise(membership, self.run_partition, self.owns, self.stop)
        except Replaced:
            self.trace.add(self.name, "ends: its place is taken")
            return "replaced"
        return "stopped"

    async def join(self, config: KafkaConfig, intervals: Intervals, heard: Heard) -> None:
        assert self.group is not None
        await member(self.group, self, intervals, heard, self.instance)

    async def run_partition(self, partition: int, end: asyncio.Event) -> Ended:
        return await run(replace(self.setup, partition=partition), self.ports(partition), end)

    def owns(self, owned: frozenset[int]) -> None:
        self.trace.add(self.name, f"owns {sorted(owned)}")

    def freeze(self) -> None:
        self.trace.add(self.name, "freezes")
        self.frozen = True

    def thaw(self) -> None:
        self.trace.add(self.name, "goes on")
        self.loop.thaw(self)

    def die_now(self, lands: bool) -> None:
        """Die. The disks hold what SQLite has committed by now."""
        for state in self.opened.values():
            state.rollback()
            self.disks[state.partition].newest = state.connection.serialize()
        self.die(Kill(lands=lands))
        if self.frozen:
            self.loop.thaw(self)

    def saved(self, state: MortalState) -> None:
        self.commits += 1
        self.opened[state.partition] = state
        if self.commits % copy_every == 0:
            self.disks[state.partition].save(state.connection)

    def closed(self, state: MortalState, discarded: bool) -> None:
        super().closed(state, discarded)
        self.opened.pop(state.partition, None)
