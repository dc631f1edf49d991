"""A member of a real consumer group passes the suite of the port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from aiokafka.client import CoordinationType
from aiokafka.protocol.group import LeaveGroupRequest

from processor.engine.group import GroupIntervals
from processor.engine.membership import Membership
from processor.kafka import KafkaConfig, admin_client, create_topics, join_group
from tests.conformance.membership_suite import MembershipStage, MembershipSuite, everything, short
from tests.lab.kafka_node import Broker, node
from tests.lab.kafka_node.kraft import Node

pytestmark = pytest.mark.integration


class KafkaGroupStage(MembershipStage):
    def __init__(self, config: KafkaConfig, broker: Broker) -> None:
        self.config, self.broker = config, broker

    def member(self, instance: str | None = None, intervals: GroupIntervals = short) -> Membership:
        config = replace(self.config, group_instance_id=instance)
        return Membership(partial(join_group, config, intervals=intervals), config.group_id)

    async def member_ids(self) -> list[str]:
        async with admin_client(self.config) as admin:
            (response,) = await admin.describe_consumer_groups([self.config.group_id])
        return [member[0] for group in response.groups for member in group[5]]

    async def expel(self, member_id: str) -> None:
        async with admin_client(self.config) as admin:
            node_id = await admin._client.coordinator_lookup(CoordinationType.GROUP, self.config.group_id)
            await admin._client.ready(node_id)
            response = await admin._client.send(node_id, LeaveGroupRequest(self.config.group_id, member_id))
        assert response.error_code == 0

    @asynccontextmanager
    async def broker_away(self) -> AsyncIterator[None]:
        assert isinstance(self.broker, Node)  # of the test's own
        self.broker.kill()
        yield
        self.broker.start()


async def made(config: KafkaConfig, broker: Broker) -> MembershipStage:
    await create_topics(config, len(everything), 1)
    return KafkaGroupStage(config, broker)


class TestKafkaGroup(MembershipSuite):
    @pytest.fixture
    async def stage(self, broker: Broker, topic_prefix: str) -> MembershipStage:
        config = KafkaConfig(broker.bootstrap, prefix=topic_prefix, group_id=f"{topic_prefix}group")
        return await made(config, broker)

    @pytest.fixture
    async def mortal_stage(self) -> AsyncIterator[MembershipStage]:
        """A broker of its own, as the test kills it."""
        with node() as own:
            yield await made(KafkaConfig(own.bootstrap), own)
