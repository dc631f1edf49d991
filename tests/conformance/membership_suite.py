"""The membership port: `Membership` over the simulator's group, and over a member of a real one.

| Difference between fake and real | So |
|---|---|
| The fake reads no records and commits no group offsets | pausing and lag tools are tested on Kafka alone |
| The fake's heartbeats have no hooks that an upgrade of aiokafka could break | the wrapped methods are tested on Kafka alone |
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

import pytest

from processor.engine.group import GroupIntervals, InstanceReplaced, monotonic_ms
from processor.engine.membership import Membership

everything: Final = frozenset(range(12))
short: Final = GroupIntervals(session_ms=6_000, heartbeat_ms=300, poll_ms=1_000)
slow: Final = GroupIntervals(session_ms=12_000, heartbeat_ms=4_000)  # notices a rebalance up to 4 s late


class MembershipStage(ABC):
    """A consumer group of twelve partitions."""

    @abstractmethod
    def member(self, instance: str | None = None, intervals: GroupIntervals = short) -> Membership:
        """Return a membership that hasn't joined yet."""

    @abstractmethod
    async def member_ids(self) -> list[str]:
        """Return the ids of the group's members. An id changes when its member was taken for dead."""

    @abstractmethod
    async def expel(self, member_id: str) -> None:
        """Remove a member, as the end of its session would."""

    @abstractmethod
    def broker_away(self) -> AbstractAsyncContextManager[None]:
        """Let no member reach the broker meanwhile."""


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def confirmed(membership: Membership, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        await membership.confirmed_after(monotonic_ms())


async def replacement(membership: Membership) -> None:
    """Wait until the member is replaced: awaiting news raises it."""
    while True:
        await membership.changed()


class MembershipSuite:
    async def test_a_lone_member_owns_everything(self, stage: MembershipStage) -> None:
        async with stage.member() as membership:
            assert (frozenset(), False) == (membership.owned(), membership.joined)
            assert everything == await membership.changed()
            await confirmed(membership)

            assert membership.joined
        assert (frozenset(), False) == (membership.owned(), membership.joined)

    async def test_a_member_stays_without_any_traffic(self, stage: MembershipStage) -> None:
        """Trap: a member that doesn't wait for records is taken for dead after max_poll_interval, here 1 s."""
        async with stage.member() as membership:
            await until(lambda: membership.owned() == everything)
            before = await stage.member_ids()
            await asyncio.sleep(4)
            await confirmed(membership, 2)

            assert everything == membership.owned()
            assert before == await stage.member_ids()

    async def test_members_share_the_partitions_and_a_leaving_one_gives_them_back(self, stage: MembershipStage) -> None:
        """Trap: an idle member blocks its own rejoin, so it would never give up half when a second one comes."""
        async with stage.member() as first:
            await until(lambda: first.owned() == everything)
            await asyncio.sleep(2)
            async with stage.member() as second:
                await until(lambda: len(first.owned()) == len(second.owned()) == 6)

                assert everything == first.owned() | second.owned()
            await until(lambda: first.owned() == everything, 5)  # it left with a word: no session had to end

    async def test_a_rebalance_moves_no_more_than_it_must(self, stage: MembershipStage) -> None:
        """A partition that moves is restored elsewhere; one that comes back carries on as it was."""
        async with stage.member() as first, stage.member() as second:
            await until(lambda: len(first.owned()) == len(second.owned()) == 6)
            before = first.owned(), second.owned()
            async with stage.member() as third:
                await until(lambda: len(first.owned()) == len(second.owned()) == len(third.owned()) == 4)

                assert everything == first.owned() | second.owned() | third.owned()
                assert first.owned() < before[0]
                assert second.owned() < before[1]
            await until(lambda: len(first.owned()) == len(second.owned()) == 6)

    async def test_partitions_stay_ours_while_the_group_rebalances(self, stage: MembershipStage) -> None:
        """An eager rebalance revokes everything, but at no moment is less ours than the next assignment gives back."""
        seen: Counter[frozenset[int]] = Counter()
        async with stage.member() as first:
            await until(lambda: first.owned() == everything)
            change = first.changed()
            async with stage.member() as second:
                while not second.owned():
                    seen[first.owned()] += 1
                    await asyncio.sleep(0.002)
                half = await change

        assert set(seen) <= {everything, half}

    async def test_nothing_is_confirmed_while_the_group_rebalances(self, stage: MembershipStage) -> None:
        """Heartbeats succeed then, too; but our partitions may be given away."""
        async with stage.member() as membership, stage.member(intervals=slow) as late:
            await until(lambda: len(membership.owned()) == len(late.owned()) == 6)
            await confirmed(late)  # its next heartbeat is 4 s away
            async with stage.member() as third:
                await asyncio.sleep(1)
                rebalancing = monotonic_ms()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await membership.confirmed_after(rebalancing)
                async with asyncio.timeout(15):
                    await membership.confirmed_after(rebalancing)

                await until(lambda: len(third.owned()) == 4)
                assert len(membership.owned()) == 4

    async def test_a_membership_outlives_the_broker(self, mortal_stage: MembershipStage) -> None:
        """Nothing is confirmed while it is gone, and then the same partitions are ours. Leaving without it is bounded."""
        async with AsyncExitStack() as away:
            async with mortal_stage.member() as membership:
                await until(lambda: membership.owned() == everything)
                async with mortal_stage.broker_away():
                    gone = monotonic_ms()
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(2):
                            await membership.confirmed_after(gone)
                async with asyncio.timeout(30):
                    await membership.confirmed_after(gone)

                assert everything == membership.owned()
                await away.enter_async_context(mortal_stage.broker_away())
                begin = monotonic_ms()
            assert monotonic_ms() - begin < 5_000

    # static members

    async def test_a_static_member_comes_back_to_its_partitions(self, stage: MembershipStage) -> None:
        """It leaves without a word, so nothing moves until its session ends; the others don't notice its successor."""
        async with stage.member("left") as stays:
            async with stage.member("right") as leaves:
                await until(lambda: len(stays.owned()) == len(leaves.owned()) == 6)
                before = leaves.owned()
            moved = asyncio.create_task(stays.changed())
            async with stage.member("right") as back:
                await until(lambda: bool(back.owned()))
                for member in (back, stays):
                    await confirmed(member)

                assert before == back.owned()
                assert everything - before == stays.owned()
                assert not moved.done()
            moved.cancel()

    async def test_a_dead_static_members_partitions_move_when_its_session_ends(self, stage: MembershipStage) -> None:
        async with stage.member("left") as stays:
            async with stage.member("right"):
                await until(lambda: len(stays.owned()) == 6)
            await until(lambda: stays.owned() == everything)

    async def test_of_two_members_with_one_instance_id_the_older_one_ends(self, stage: MembershipStage) -> None:
        """Trap: aiokafka would join anew, and replace the one that replaced it, which would join anew, and so on."""
        async with stage.member("worker-1") as older:
            await until(lambda: older.owned() == everything)
            waiting = asyncio.create_task(older.confirmed_after(monotonic_ms() + 60_000))  # as of a fenced partition
            change = asyncio.create_task(older.changed())
            async with stage.member("worker-1") as newer:
                for awaiting in (change, waiting):
                    with pytest.raises(InstanceReplaced, match="worker-1"):
                        async with asyncio.timeout(15):
                            await awaiting
                await until(lambda: newer.owned() == everything)
                flap = asyncio.create_task(newer.changed())
                before = await stage.member_ids()
                await asyncio.wait([flap], timeout=10)
                await confirmed(newer)

                assert (frozenset(), False) == (older.owned(), older.joined)
                with pytest.raises(InstanceReplaced):
                    await older.changed()
                assert not flap.done()
                assert before == await stage.member_ids()
                flap.cancel()

    async def test_of_two_members_that_join_at_once_under_one_instance_id_one_ends(
        self, stage: MembershipStage
    ) -> None:
        """The one that joined first ends, even if the group was still gathering: the response to its joining says so."""
        async with stage.member("worker-1") as one, stage.member("worker-1") as other:
            ends = {asyncio.create_task(replacement(member)): member for member in (one, other)}
            (ended,), (stays,) = await asyncio.wait(ends, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            await until(lambda: ends[stays].owned() == everything)
            for _ in range(5):
                await confirmed(ends[stays])

            assert type(ended.exception()) is InstanceReplaced
            assert not stays.done()
            stays.cancel()

    async def test_a_member_that_lost_its_session_and_was_not_replaced_joins_again(
        self, stage: MembershipStage
    ) -> None:
        """After a SIGSTOP, for example: the group has forgotten it, and no other member has its instance id."""
        async with stage.member("worker-1") as membership:
            await until(lambda: membership.owned() == everything)
            (before,) = await stage.member_ids()
            change = asyncio.create_task(membership.changed())
            await stage.expel(before)
            async with asyncio.timeout(15):
                assert everything == await change
            await confirmed(membership)

            assert [before] != await stage.member_ids()
