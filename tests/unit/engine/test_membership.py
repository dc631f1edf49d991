"""What is known of the group between two messages of a member, told by a fake one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from processor.engine.membership import Membership
from processor.kafka import Heard, Intervals, KafkaConfig, Replaced, watch_heartbeats

config = KafkaConfig("nowhere:9092")


class Member:
    """Does what the group says when the test says it."""

    def __init__(self) -> None:
        self.heard: Heard
        self.intervals = Intervals()
        self.fails = asyncio.Event()
        self.fault: Exception = ZeroDivisionError()
        self.left = False

    async def __call__(self, config: KafkaConfig, intervals: Intervals, heard: Heard) -> None:
        self.heard, self.intervals = heard, intervals
        try:
            await self.fails.wait()
        finally:
            self.left = True
        raise self.fault


@asynccontextmanager
async def entered(config: KafkaConfig = config) -> AsyncIterator[tuple[Membership, Member]]:
    member = Member()
    async with Membership(config, member=member) as membership:
        await asyncio.sleep(0)
        yield membership, member


async def test_nothing_is_ours_before_the_first_assignment() -> None:
    async with entered() as (membership, _):
        assert (frozenset(), False, None) == (membership.owned(), membership.joined, membership.confirmed_at())


async def test_an_assignment_tells_what_is_ours_and_confirms_it() -> None:
    async with entered() as (membership, member):
        member.heard.assigned(frozenset({1, 2}), 70)

        assert (frozenset({1, 2}), True, 70) == (membership.owned(), membership.joined, membership.confirmed_at())


async def test_a_change_between_the_call_and_the_wait_is_not_missed() -> None:
    """Whoever asks for the next change, and only then looks at what is ours, misses none."""
    async with entered() as (membership, member):
        change = membership.changed()
        member.heard.assigned(frozenset({3}), 70)

        assert frozenset({3}) == await change


async def test_changed_waits_for_the_next_assignment_not_for_heartbeats() -> None:
    async with entered() as (membership, member):
        member.heard.assigned(frozenset({3}), 70)
        change = asyncio.create_task(membership.changed())
        member.heard.confirmed(80)
        await asyncio.sleep(0)
        assert not change.done()
        member.heard.assigned(frozenset({3, 4}), 90)

        assert frozenset({3, 4}) == await change


async def test_only_what_was_asked_later_than_the_fence_confirms() -> None:
    """A heartbeat that was under way when we were fenced says nothing of who owns the partition since."""
    async with entered() as (membership, member):
        member.heard.assigned(frozenset({3}), 70)
        confirmed = asyncio.create_task(membership.confirmed_after(100))
        for asked_ms in (99, 100):
            member.heard.confirmed(asked_ms)
            await asyncio.sleep(0.001)
            assert not confirmed.done()
        member.heard.confirmed(101)

        await confirmed


@pytest.mark.parametrize(("alive", "rejoins", "confirms"), [(True, False, 1), (True, True, 0), (False, False, 0)])
async def test_a_heartbeat_confirms_unless_it_is_told_to_join_again(alive: bool, rejoins: bool, confirms: int) -> None:
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
        member.heard.assigned(frozenset({3}), 70)
        change = membership.changed()
        member.heard.lost("GroupAuthorizationFailedError")

        assert frozenset() == await change
        assert not membership.joined


async def test_leaving_ends_the_member_and_owns_nothing() -> None:
    async with entered() as (membership, member):
        member.heard.assigned(frozenset({3}), 70)

    assert (True, frozenset(), False) == (member.left, membership.owned(), membership.joined)


async def test_a_fault_of_the_member_is_raised_where_news_is_awaited() -> None:
    """Else the worker would wait for ever, and look healthy."""
    async with entered() as (membership, member):
        change = asyncio.create_task(membership.changed())
        await asyncio.sleep(0)
        member.fails.set()

        with pytest.raises(ZeroDivisionError):
            await change


async def test_a_member_that_was_replaced_says_so_whatever_else_is_new() -> None:
    """Nothing is ours any more then, and whoever asks or waits learns why: a change before it is no news."""
    async with entered() as (membership, member):
        member.heard.assigned(frozenset({3}), 70)
        change, confirmed = membership.changed(), asyncio.create_task(membership.confirmed_after(100))
        await asyncio.sleep(0)
        member.heard.assigned(frozenset({3, 4}), 80)
        member.fault = Replaced("another worker has joined")
        member.fails.set()
        with pytest.raises(Replaced):
            await confirmed
        with pytest.raises(Replaced):
            await change
        with pytest.raises(Replaced):
            await membership.changed()

        assert (frozenset(), False) == (membership.owned(), membership.joined)


async def test_lag_is_told_of_what_is_ours_only() -> None:
    async with entered() as (membership, member):
        member.heard.assigned(frozenset({1, 2}), 70)
        membership.read_to(1, {"lead.changes": 10, "sync.requests": 4})
        membership.read_to(2, {"lead.changes": 20})
        member.heard.assigned(frozenset({1}), 80)

        assert {("lead.changes", 1): 10, ("sync.requests", 1): 4} == member.heard.reached()


@pytest.mark.parametrize(("instance", "session_ms"), [(None, 10_000), ("worker-1", 30_000)])
async def test_a_static_member_leaves_its_successor_time_to_come(instance: str | None, session_ms: int) -> None:
    async with entered(KafkaConfig("nowhere:9092", group_instance_id=instance)) as (_, member):
        assert session_ms == member.intervals.session_ms
