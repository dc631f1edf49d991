"""What a static member makes of answers that say that another one has its instance id."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from processor.kafka.instance import Instance, fenced_instance_id, unknown_member_id

join = JoinGroupRequest("group", 10_000, 10_000, "member-1", "instance-1", "consumer", [])
heartbeat = HeartbeatRequest("group", 1, "member-1")


class Coordinator:
    """As much of aiokafka's as `Instance` wraps; each answer is an error code, or what is raised."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)

    async def _send_req(self, request: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(error_code=answer)

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        return True


def watched(*answers: int | Exception) -> tuple[Instance, Any]:
    instance, coordinator = Instance("instance-1"), Coordinator(*answers)
    instance.watch(coordinator)
    return instance, coordinator


@pytest.mark.parametrize("request_", [join, heartbeat])
async def test_whoever_is_told_so_was_replaced(request_: Any) -> None:
    instance, coordinator = watched(fenced_instance_id)

    assert fenced_instance_id == (await coordinator._send_req(request_)).error_code
    assert instance.taken


async def test_a_broker_that_came_back_may_know_our_predecessor_only_so_we_join_as_new() -> None:
    """It died before it had written the generation in which we got our id."""
    instance, coordinator = watched(errors.KafkaConnectionError(), fenced_instance_id, 0)
    with pytest.raises(errors.KafkaConnectionError):
        await coordinator._send_req(join)

    assert unknown_member_id == (await coordinator._send_req(join)).error_code
    assert (await coordinator._send_req(join)).error_code == 0
    assert not instance.taken


async def test_a_second_time_it_is_true() -> None:
    instance, coordinator = watched(errors.KafkaConnectionError(), fenced_instance_id, fenced_instance_id)
    with pytest.raises(errors.KafkaConnectionError):
        await coordinator._send_req(join)
    await coordinator._send_req(join)
    await coordinator._send_req(join)

    assert instance.taken


async def test_a_heartbeat_that_says_so_is_believed_though_the_broker_was_gone() -> None:
    instance, coordinator = watched(errors.KafkaConnectionError(), fenced_instance_id)
    with pytest.raises(errors.KafkaConnectionError):
        await coordinator._send_req(heartbeat)
    await coordinator._send_req(heartbeat)

    assert instance.taken
