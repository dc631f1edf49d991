"""A static member reads responses which say that another member has its instance id."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from processor.kafka.static_member import StaticMember, fenced_instance_id, unknown_member_id

join = JoinGroupRequest("group", 10_000, 10_000, "member-1", "instance-1", "consumer", [])
heartbeat = HeartbeatRequest("group", 1, "member-1")


class Coordinator:
    """The part of aiokafka's coordinator that `StaticMember` wraps. Each response is an error code or an exception."""

    def __init__(self, *responses: int | Exception) -> None:
        self.responses = list(responses)

    async def _send_req(self, request: Any) -> Any:
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return SimpleNamespace(error_code=response)

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        return True


def watched(*responses: int | Exception) -> tuple[StaticMember, Any]:
    static, coordinator = StaticMember("instance-1"), Coordinator(*responses)
    static.watch(coordinator)
    return static, coordinator


@pytest.mark.parametrize("request_", [join, heartbeat])
async def test_a_fenced_instance_id_means_replaced(request_: Any) -> None:
    static, coordinator = watched(fenced_instance_id)

    assert fenced_instance_id == (await coordinator._send_req(request_)).error_code
    assert static.replaced


async def test_after_a_missed_response_a_fenced_join_is_repeated_as_a_new_member() -> None:
    """The broker may have died before it wrote the generation in which we got our member id."""
    static, coordinator = watched(errors.KafkaConnectionError(), fenced_instance_id, 0)
    with pytest.raises(errors.KafkaConnectionError):
        await coordinator._send_req(join)

    assert unknown_member_id == (await coordinator._send_req(join)).error_code
    assert (await coordinator._send_req(join)).error_code == 0
    assert not static.replaced


async def test_a_second_fenced_join_means_replaced() -> None:
    static, coordinator = watched(errors.KafkaConnectionError(), fenced_instance_id, fenced_instance_id)
    with pytest.raises(errors.KafkaConnectionError):
        await coordinator._send_req(join)
    await coordinator._send_req(join)
    await coordinator._send_req(join)

    assert static.replaced


async def test_a_fenced_heartbeat_means_replaced_even_after_a_missed_response() -> None:
    static, coordinator = watched(errors.KafkaConnectionError(), fenced_instance_id)
    with pytest.raises(errors.KafkaConnectionError):
        await coordinator._send_req(heartbeat)
    await coordinator._send_req(heartbeat)

    assert static.replaced
