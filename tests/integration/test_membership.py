"""Membership on a real group: it stays, splits, leaves, comes back, and knows when it was last confirmed."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import CoordinationType
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import TopicPartition

from processor.engine.group import GroupIntervals, InstanceReplaced, monotonic_ms
from processor.engine.membership import Membership
from processor.kafka import KafkaConfig, KafkaLog, create_topics, join_group, publish_record
from processor.kafka.connection import make_consumer
from processor.topics import prefixed
from tests.lab.kafka_node import Broker, node

pytestmark = pytest.mark.integration
everything = frozenset(range(12))
short = GroupIntervals(session_ms=6_000, heartbeat_ms=300, poll_ms=1_000)


@pytest.fixture
async def config(broker: Broker, topic_prefix: str) -> KafkaConfig:
    found = KafkaConfig(broker.bootstrap, prefix=topic_prefix, group_id=f"{topic_prefix}group")
    await create_topics(found, 12, 1)
    return found


def member_of(config: KafkaConfig) -> Membership:
    return Membership(partial(join_group, config, intervals=short), config.group_id)


def static(config: KafkaConfig, instance: str) -> KafkaConfig:
    return KafkaConfig(config.bootstrap, prefix=config.prefix, group_id=config.group_id, group_instance_id=instance)


async def until(true: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_member_stays_without_any_traffic(config: KafkaConfig) -> None:
    """Trap: a member that doesn't wait for records is taken for dead after max_poll_interval, here 1 s."""
    async with member_of(config) as membership:
        await until(lambda: membership.owned() == everything)
        generation = await members(config)
        await asyncio.sleep(4)
        before = monotonic_ms()
        async with asyncio.timeout(2):
            await membership.confirmed_after(before)

        assert everything == membership.owned()
        assert generation == await members(config)


async def test_it_reads_nothing(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: each assignment begins unpaused."""
    made: list[Any] = []

    def make(config: KafkaConfig, **more: object) -> Any:
        made.append(make_consumer(config, **more))
        return made[-1]

    monkeypatch.setattr("processor.kafka.group_member.make_consumer", make)
    async with member_of(config) as first:
        await until(lambda: first.owned() == everything)
        async with member_of(config):
            await until(lambda: len(first.owned()) == 6)
            await publish_record(config, "lead.changes", b"k", b"x")

            assert [6, 6] == [len(consumer.paused()) for consumer in made]


async def test_a_rebalance_while_idle_is_no_trap(config: KafkaConfig) -> None:
    """Trap: an idle member bars its own way back, so it would never give up half when a second one comes."""
    async with member_of(config) as first:
        await until(lambda: first.owned() == everything)
        await asyncio.sleep(2)
        async with member_of(config) as second:
            await until(lambda: len(first.owned()) == len(second.owned()) == 6)

            assert everything == first.owned() | second.owned()
        await until(lambda: first.owned() == everything)


async def test_a_rebalance_moves_no_more_than_it_must(config: KafkaConfig) -> None:
    """A partition that moves is restored elsewhere; one that comes back carries on as it was."""
    async with member_of(config) as first, member_of(config) as second:
        await until(lambda: len(first.owned()) == len(second.owned()) == 6)
        before = first.owned(), second.owned()
        async with member_of(config) as third:
            await until(lambda: len(first.owned()) == len(second.owned()) == len(third.owned()) == 4)

            assert first.owned() < before[0]
            assert second.owned() < before[1]
        await until(lambda: len(first.owned()) == len(second.owned()) == 6)


async def test_what_is_ours_stays_ours_while_the_group_rebalances(config: KafkaConfig) -> None:
    """An eager rebalance revokes everything; nobody who looks in between sees less than what comes back."""
    seen: Counter[frozenset[int]] = Counter()
    async with member_of(config) as first:
        await until(lambda: first.owned() == everything)
        change = first.changed()
        async with member_of(config) as second:
            while not second.owned():
                seen[first.owned()] += 1
                await asyncio.sleep(0.002)
            half = await change

    assert set(seen) <= {everything, half}


async def test_a_static_member_comes_back_to_its_partitions(config: KafkaConfig) -> None:
    """It leaves no word, so nothing moves until its session ends; its successor carries on, unheard by the others."""
    left, right = static(config, "left"), static(config, "right")
    async with member_of(left) as stays:
        async with member_of(right) as leaves:
            await until(lambda: len(stays.owned()) == len(leaves.owned()) == 6)
            before = leaves.owned()
        moved = asyncio.create_task(stays.changed())
        async with member_of(right) as back:
            await until(lambda: bool(back.owned()))
            for member in (back, stays):
                await confirmed(member)

            assert before == back.owned()
            assert everything - before == stays.owned()
            assert not moved.done()
        moved.cancel()


async def test_of_two_members_with_one_instance_id_the_older_one_ends(config: KafkaConfig) -> None:
    """Trap: aiokafka would join anew, and replace the one that replaced it, which would join anew, and so on."""
    worker = static(config, "worker-1")
    async with member_of(worker) as older:
        await until(lambda: older.owned() == everything)
        waiting = asyncio.create_task(older.confirmed_after(monotonic_ms() + 60_000))  # a fenced partition's
        change = asyncio.create_task(older.changed())
        async with member_of(worker) as newer:
            for told in (change, waiting):
                with pytest.raises(InstanceReplaced, match="KAFKA_GROUP_INSTANCE_ID=worker-1; this one ends"):
                    async with asyncio.timeout(15):
                        await told
            await until(lambda: newer.owned() == everything)
            flap = asyncio.create_task(newer.changed())
            id_ = await members(config)
            await asyncio.wait([flap], timeout=10)
            await confirmed(newer)

            assert (frozenset(), False) == (older.owned(), older.joined)
            with pytest.raises(InstanceReplaced):
                await older.changed()
            assert not flap.done()
            assert id_ == await members(config)
            flap.cancel()


async def test_of_two_members_that_join_at_once_under_one_instance_id_one_ends(config: KafkaConfig) -> None:
    """Whichever joined first, maybe while the group was gathering yet: it is told so in the answer to its joining."""
    worker = static(config, "worker-1")
    async with member_of(worker) as one, member_of(worker) as other:
        ends = {asyncio.create_task(end(member)): member for member in (one, other)}
        (ended,), (stays,) = await asyncio.wait(ends, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: ends[stays].owned() == everything)
        for _ in range(5):
            await confirmed(ends[stays])

        assert type(ended.exception()) is InstanceReplaced
        assert not stays.done()
        stays.cancel()


async def end(membership: Membership) -> None:
    """Wait for it: it is raised where news is awaited."""
    while True:
        await membership.changed()


async def test_a_member_that_lost_its_session_and_found_nobody_in_its_place_joins_again(config: KafkaConfig) -> None:
    """As after a SIGSTOP: the group has forgotten it, and nobody has come under its instance id since."""
    async with member_of(static(config, "worker-1")) as membership:
        await until(lambda: membership.owned() == everything)
        (before,) = await members(config)
        change = asyncio.create_task(membership.changed())
        await expel(config, before)
        async with asyncio.timeout(15):
            assert everything == await change
        await confirmed(membership)

        assert [before] != await members(config)


async def test_a_dead_static_members_partitions_move_when_its_session_ends(config: KafkaConfig) -> None:
    async with member_of(static(config, "left")) as stays:
        async with member_of(static(config, "right")):
            await until(lambda: len(stays.owned()) == 6)
        await until(lambda: stays.owned() == everything)


async def test_nothing_is_confirmed_while_the_group_rebalances(config: KafkaConfig) -> None:
    """Heartbeats are answered then, too; but what is ours may be given away."""

    class Slow(ConsumerRebalanceListener):  # type: ignore[misc]  # the base is Any
        async def on_partitions_revoked(self, revoked: object) -> None:
            await asyncio.sleep(3 if revoked else 0)

        def on_partitions_assigned(self, assigned: object) -> None: ...

    slow = AIOKafkaConsumer(
        bootstrap_servers=config.bootstrap,
        group_id=config.group_id,
        heartbeat_interval_ms=300,
        partition_assignment_strategy=[StickyPartitionAssignor],
    )
    await slow.start()
    async with member_of(config) as membership:
        slow.subscribe([prefixed(config.prefix, "lead.changes")], listener=Slow())
        await until(lambda: len(membership.owned()) == len(slow.assignment()) == 6)
        async with member_of(config):
            await asyncio.sleep(1)
            rebalancing = monotonic_ms()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await membership.confirmed_after(rebalancing)
            async with asyncio.timeout(10):
                await membership.confirmed_after(rebalancing)

            assert len(membership.owned()) == 4
    await slow.stop()


async def test_membership_outlives_the_broker(config: KafkaConfig) -> None:
    """The broker dies and comes back: meanwhile nothing confirms, afterwards the same partitions are ours."""
    with node() as mortal:
        config = KafkaConfig(mortal.bootstrap, prefix="gone.")
        await create_topics(config, 12, 1)
        async with member_of(config) as membership:
            await until(lambda: membership.owned() == everything)
            mortal.kill()
            gone = monotonic_ms()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2):
                    await membership.confirmed_after(gone)
            mortal.start()
            async with asyncio.timeout(30):
                await membership.confirmed_after(gone)

            assert everything == membership.owned()
            mortal.kill()
            begin = monotonic_ms()
        assert monotonic_ms() - begin < 5_000


async def test_lag_tools_see_how_far_we_read(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """All input topics, though the member subscribes to one of them, and its membership isn't disturbed."""
    monkeypatch.setattr("processor.kafka.group_member.offsets_every_s", 0.3)
    async with member_of(config) as membership:
        await until(lambda: membership.owned() == everything)
        log = KafkaLog(config, 5, membership.read_to)
        await log.open()
        await log.assign({})
        await log.commit([], [("a", b"1")])
        await log.close()
        membership.read_to(6, {"sync.requests": 17})
        change = asyncio.create_task(membership.changed())
        await asyncio.sleep(1.5)

        expected = {("lead.changes", 5): 0, ("sync.requests", 5): 0, ("contact.events", 5): 0, ("sync.requests", 6): 17}
        assert expected == {
            (at.topic.removeprefix(config.prefix), at.partition): offset for at, offset in await committed(config)
        }
        assert not change.done()
        change.cancel()


def test_the_methods_that_we_wrap_are_there() -> None:
    """aiokafka tells of no heartbeat, and not of who replaced whom: when one of these fails after an upgrade, look at
    `kafka/group_member.py` and `kafka/static_member.py` again."""
    routine = inspect.getsource(GroupCoordinator._heartbeat_routine)
    beat = inspect.getsource(GroupCoordinator._do_heartbeat)

    assert "success = await self._do_heartbeat()" in routine
    assert "self.request_rejoin()" in beat.partition("RebalanceInProgressError")[2].partition("return True")[0]
    assert "await self._do_rejoin_group(subscription)" in inspect.getsource(GroupCoordinator.ensure_active_group)
    for asks in (CoordinatorGroupRebalance.perform_group_join, CoordinatorGroupRebalance._send_sync_group_request):
        assert "await self._coordinator._send_req(request)" in inspect.getsource(asks)
    assert "_rejoin_needed_fut.done()" in inspect.getsource(GroupCoordinator.need_rejoin)
    assert ["self", "assignment", "offsets"] == list(inspect.signature(GroupCoordinator.commit_offsets).parameters)


async def expel(config: KafkaConfig, member: str) -> None:
    """As the end of its session would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.bootstrap)
    await admin.start()
    node_id = await admin._client.coordinator_lookup(CoordinationType.GROUP, config.group_id)
    await admin._client.ready(node_id)
    answer = await admin._client.send(node_id, LeaveGroupRequest(config.group_id, member))
    await admin.close()
    assert answer.error_code == 0


async def confirmed(membership: Membership) -> None:
    async with asyncio.timeout(10):
        await membership.confirmed_after(monotonic_ms())


async def members(config: KafkaConfig) -> list[str]:
    """The ids of the group's members: they change when one was taken for dead."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.bootstrap)
    await admin.start()
    (answer,) = await admin.describe_consumer_groups([config.group_id])
    await admin.close()
    return [member[0] for group in answer.groups for member in group[5]]


async def committed(config: KafkaConfig) -> list[tuple[TopicPartition, int]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=config.bootstrap)
    await admin.start()
    found = await admin.list_consumer_group_offsets(config.group_id)
    await admin.close()
    return [(at, offset.offset) for at, offset in found.items() if offset.offset >= 0]
