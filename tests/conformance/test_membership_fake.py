"""The simulator's consumer group passes the suite of the port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from processor.engine.group import GroupIntervals, GroupListener
from processor.engine.membership import Membership
from tests.conformance.fakes import LivingProcess, undisturbed_kafka
from tests.conformance.membership_suite import MembershipStage, MembershipSuite, everything, short
from tests.simulation.world.group import Group, member


class FakeGroupStage(MembershipStage):
    def __init__(self) -> None:
        self.group, self.made = Group(undisturbed_kafka(), sorted(everything)), 0

    def member(self, instance: str | None = None, intervals: GroupIntervals = short) -> Membership:
        self.made += 1
        process = LivingProcess(f"worker-{self.made}")

        async def join(listener: GroupListener) -> None:
            await member(self.group, process, intervals, listener, instance)

        return Membership(join, "group")

    async def member_ids(self) -> list[str]:
        return [*self.group._members]

    async def expel(self, member_id: str) -> None:
        self.group.leave(member_id)

    @asynccontextmanager
    async def broker_away(self) -> AsyncIterator[None]:
        self.group.kafka.gone = True
        yield
        self.group.kafka.gone = False
        self.group.kafka.healed()
        self.group.restarted()


class TestFakeGroup(MembershipSuite):
    @pytest.fixture
    async def stage(self) -> MembershipStage:
        return FakeGroupStage()

    @pytest.fixture
    async def mortal_stage(self) -> MembershipStage:
        return FakeGroupStage()
