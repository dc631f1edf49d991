"""A group member's behaviour on Kafka alone, and the hooks into aiokafka. `conformance/membership_suite.py` has the rest."""

import asyncio
import inspect
from functools import partial
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator

from processor.engine.membership import Membership
from processor.kafka import KafkaConfig, KafkaLog, admin_client, create_topics, join_group, publish_record
from processor.kafka.connection import make_consumer
from tests.conformance.membership_suite import everything, short, until
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration


@pytest.fixture
async def config(broker: Broker, topic_prefix: str) -> KafkaConfig:
    made = KafkaConfig(broker.bootstrap, prefix=topic_prefix, group_id=f"{topic_prefix}group")
    await create_topics(made, len(everything), 1)
    return made


def member_of(config: KafkaConfig) -> Membership:
    return Membership(partial(join_group, config, intervals=short), config.group_id)


async def test_a_member_reads_nothing(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_lag_tools_see_our_positions(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """All input topics count, though the member subscribes to one of them. Its membership isn't disturbed."""
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
        assert expected == await group_offsets(config)
        assert not change.done()
        change.cancel()


def test_the_methods_that_we_wrap_are_there() -> None:
    """aiokafka has no hooks for heartbeats and replaced members.

    When this fails after an upgrade, check `kafka/group_member.py` and `kafka/static_member.py` again.
    """
    routine = inspect.getsource(GroupCoordinator._heartbeat_routine)
    beat = inspect.getsource(GroupCoordinator._do_heartbeat)

    assert "success = await self._do_heartbeat()" in routine
    assert "self.request_rejoin()" in beat.partition("RebalanceInProgressError")[2].partition("return True")[0]
    assert "await self._do_rejoin_group(subscription)" in inspect.getsource(GroupCoordinator.ensure_active_group)
    for asks in (CoordinatorGroupRebalance.perform_group_join, CoordinatorGroupRebalance._send_sync_group_request):
        assert "await self._coordinator._send_req(request)" in inspect.getsource(asks)
    assert "_rejoin_needed_fut.done()" in inspect.getsource(GroupCoordinator.need_rejoin)
    assert ["self", "assignment", "offsets"] == list(inspect.signature(GroupCoordinator.commit_offsets).parameters)


async def group_offsets(config: KafkaConfig) -> dict[tuple[str, int], int]:
    async with admin_client(config) as admin:
        found = await admin.list_consumer_group_offsets(config.group_id)
    return {
        (at.topic.removeprefix(config.prefix), at.partition): offset.offset
        for at, offset in found.items()
        if offset.offset >= 0
    }
