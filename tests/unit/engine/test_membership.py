"""Membership keeps the news of a group member; here a fake member reports them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from processor.engine.group import GroupIntervals, GroupListener, InstanceReplaced
from processor.engine.membership import Membership
from processor.kafka.group_member import watch_heartbeats


class Member:
    """A group member that the test steers."""

    def __init__(self) -> None:
        self.listener: GroupListener
        self.fails = asyncio.Event()
        self.fault: Exception = ZeroDivisionError()
        self.left = False

    async def __call__(self, listener: GroupListener) -> None:
        self.listener = listener
        try:
            await self.fails.wait()
        finally:
            self.left = True
        raise self.fault


@asynccontextmanager
async def entered() -> AsyncIterator[tuple[Membership, Member]]:
    member = Member()
    async with Membership(member, "group") as membership:
        await asyncio.sleep(0)
        yield membership, member


async def test_nothing_is_ours_before_the_first_assignment() -> None:
    async with entered() as (membership, _):
        assert (frozenset(), False, None) == (membership.owned(), membership.joined, membership.confirmed_at())


async def test_an_assignment_names_our_partitions_and_confirms_them() -> None:
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({1, 2}), 70)

        assert (frozenset({1, 2}), True, 70) == (membership.owned(), membership.joined, membership.confirmed_at())


async def test_a_change_between_the_call_and_the_wait_is_not_missed() -> None:
    """A caller that asks for the next change first, and looks at its partitions afterwards, misses none."""
    async with entered() as (membership, member):
        change = membership.changed()
        member.listener.assigned(frozenset({3}), 70)

        assert frozenset({3}) == await change


async def test_changed_waits_for_the_next_assignment_not_for_heartbeats() -> None:
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({3}), 70)
        change = asyncio.create_task(membership.changed())
        member.listener.confirmed(80)
        await asyncio.sleep(0)
        assert not change.done()
        member.listener.assigned(frozenset({3, 4}), 90)

        assert frozenset({3, 4}) == await change


async def test_only_a_heartbeat_later_than_the_fence_confirms() -> None:
    """A heartbeat that was under way during the fence doesn't say who owns the partition since."""
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({3}), 70)
        confirmed = asyncio.create_task(membership.confirmed_after(100))
        for asked_ms in (99, 100):
            member.listener.confirmed(asked_ms)
            await asyncio.sleep(0.001)
            assert not confirmed.done()
        member.listener.confirmed(101)

        await confirmed


@pytest.mark.parametrize(("alive", "rejoins", "confirms"), [(True, False, 1), (True, True, 0), (False, False, 0)])
async def test_a_heartbeat_confirms_unless_the_member_must_join_again(
    alive: bool, rejoins: bool, confirms: int
) -> None:
    """aiokafka counts "the group rebalances" as a success, too."""

    class Coordinator:
        def __init__(self) -> None:
            self._rejoin_needed_fut: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def _do_heartbeat(self) -> bool:
            if rejoins:
                self._rejoin_needed_fut.set_result(None)
            return alive

    coordinator, confirmed = Coordinator(), list[int]()
    watch_heartbeats(coordinator, confirmed.append)

    assert alive == await coordinator._do_heartbeat()
    assert confirms == len(confirmed)


async def test_a_lost_membership_owns_nothing() -> None:
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({3}), 70)
        change = membership.changed()
        member.listener.lost("GroupAuthorizationFailedError")

        assert frozenset() == await change
        assert not membership.joined


async def test_leaving_ends_the_member_and_owns_nothing() -> None:
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({3}), 70)

    assert (True, frozenset(), False) == (member.left, membership.owned(), membership.joined)


async def test_a_fault_of_the_member_is_raised_where_news_are_awaited() -> None:
    """Else the worker would wait for ever, and look healthy."""
    async with entered() as (membership, member):
        change = asyncio.create_task(membership.changed())
        await asyncio.sleep(0)
        member.fails.set()

        with pytest.raises(ZeroDivisionError):
            await change


async def test_a_replaced_member_raises_even_after_another_change() -> None:
    """Nothing is ours any more then. Every caller learns why, also one that waits for an earlier change."""
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({3}), 70)
        change, confirmed = membership.changed(), asyncio.create_task(membership.confirmed_after(100))
        await asyncio.sleep(0)
        member.listener.assigned(frozenset({3, 4}), 80)
        member.fault = InstanceReplaced("another worker has joined")
        member.fails.set()
        with pytest.raises(InstanceReplaced):
            await confirmed
        with pytest.raises(InstanceReplaced):
            await change
        with pytest.raises(InstanceReplaced):
            await membership.changed()

        assert (frozenset(), False) == (membership.owned(), membership.joined)


async def test_positions_are_kept_for_our_partitions_only() -> None:
    async with entered() as (membership, member):
        member.listener.assigned(frozenset({1, 2}), 70)
        membership.read_to(1, {"lead.changes": 10, "sync.requests": 4})
        membership.read_to(2, {"lead.changes": 20})
        member.listener.assigned(frozenset({1}), 80)

        assert {("lead.changes", 1): 10, ("sync.requests", 1): 4} == member.listener.positions()


@pytest.mark.parametrize(("static", "session_ms"), [(False, 10_000), (True, 30_000)])
def test_a_static_member_leaves_its_successor_time_to_come(static: bool, session_ms: int) -> None:
    assert session_ms == GroupIntervals.of_member(static=static).session_ms
