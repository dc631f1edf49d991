"""A static member's instance id. One member has it at a time: the one that joined last. The replaced one ends.

Trap: aiokafka's heartbeats and commits don't name the instance, so a replaced member learns only that its member id is
unknown. It would forget that id, join as a new member and replace its successor, which would do the same, and so on.
"""

from typing import Any, Final

from aiokafka import errors
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.group import HeartbeatResponse_v1, JoinGroupRequest
from aiokafka.protocol.types import Int32, Schema, String

no_generation: Final = -1  # a heartbeat with it keeps no member alive, it only asks
unknown_member_id: Final = 25
fenced_instance_id: Final = 82
not_replaced: Final = {0, 22, unknown_member_id, 27}  # a member; of another generation; forgotten; in a rebalance


class HeartbeatRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801  # the base is Any; named as aiokafka does
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse_v1  # the same in v3
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class InstanceRequest(Request[HeartbeatRequest_v3]):  # type: ignore[misc]  # the base is Any
    """A heartbeat that names the instance: its response shows if another member has it."""

    API_KEY = 12

    def __init__(self, *fields: object) -> None:
        self._fields = fields

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(*self._fields)


class StaticMember:
    """Our instance id, through all the consumers that join under it."""

    def __init__(self, instance_id: str) -> None:
        self._instance_id = instance_id
        self._member_id = ""  # as the broker named us last; empty where it may have named us anew since
        self._response_missed = False  # a response has failed to come since we joined
        self.replaced = False  # another member has the instance id

    def watch(self, coordinator: Any) -> None:
        """Wrap two of the coordinator's methods, here alone: aiokafka has no hook for either."""
        send, rejoin = coordinator._send_req, coordinator._do_rejoin_group

        async def send_watched(request: Any) -> Any:
            try:
                response = await send(request)
            except errors.KafkaError:
                self._response_missed = True
                raise
            self._inspect(request, response)
            return response

        async def rejoin_watched(subscription: Any) -> bool:
            if self._member_id and not coordinator.member_id:  # it would join as a new member
                if not await self._may_join(coordinator):
                    return False  # aiokafka looks for the coordinator, and comes again
                # the response to this joining may get lost: then we have another member id, and don't know it
                self._member_id = ""
            try:
                return bool(await rejoin(subscription))
            finally:
                self._member_id = coordinator.member_id or self._member_id

        coordinator._send_req, coordinator._do_rejoin_group = send_watched, rejoin_watched

    async def _may_join(self, coordinator: Any) -> bool:
        """True if no other member has our instance id; False if the coordinator can't say. Raises when we are replaced."""
        request = InstanceRequest(coordinator.group_id, no_generation, self._member_id, self._instance_id)
        try:
            code = (await coordinator._send_req(request)).error_code
        except errors.KafkaError:
            return False
        if self.replaced:
            raise errors.KafkaError("replaced")
        if code not in not_replaced:
            coordinator.coordinator_dead()  # it is no coordinator any more, or not yet
            return False
        return True

    def _inspect(self, request: Any, response: Any) -> None:
        """Note a response that says that we were replaced, unless it may be wrong: then join once as a new member.

        Trap: a broker that dies in a rebalance comes back with the group as it last wrote it. It knows our dead
        predecessor's member id instead of ours, so it takes us for replaced. If another member really has replaced us,
        joining anew makes that one end.
        """
        code, joins = getattr(response, "error_code", 0), isinstance(request, JoinGroupRequest)
        if code == fenced_instance_id and joins and self._response_missed:
            response.error_code, self._member_id = unknown_member_id, ""
        elif code == fenced_instance_id:
            self.replaced = True
        self._response_missed &= not joins
