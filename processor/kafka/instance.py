"""A static member's instance id, which one member has at a time: who joins under it last. Who was replaced, ends.

Trap: aiokafka's heartbeats and commits don't name the instance, so a member that was replaced is told only that nobody
knows it. It would forget its own id, join as a new one and replace its successor, who would do the same, and so on.
"""

from typing import Any, Final

from aiokafka import errors
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.group import HeartbeatResponse_v1, JoinGroupRequest
from aiokafka.protocol.types import Int32, Schema, String

no_generation: Final = -1  # with it a heartbeat keeps nobody alive, it only asks
unknown_member_id: Final = 25
fenced_instance_id: Final = 82
still_ours: Final = {0, 22, unknown_member_id, 27}  # a member, of another generation, forgotten by now, in a rebalance


class HeartbeatRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801  # the base is Any; named as aiokafka does
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse_v1  # v3 answers the same
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class WhoIsIt(Request[HeartbeatRequest_v3]):  # type: ignore[misc]  # the base is Any
    """A heartbeat that names the instance: the broker says whether another member has it."""

    API_KEY = 12

    def __init__(self, *fields: object) -> None:
        self._fields = fields

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(*self._fields)


class Instance:
    """Ours, through all the consumers that join under it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._member_id = ""  # what the broker called us last; empty where it may have called us something since
        self._cut_off = False  # an answer has failed to come since we joined
        self.taken = False  # another member has it

    def watch(self, coordinator: Any) -> None:
        """aiokafka has no hook for either: two of its methods are wrapped, here alone."""
        send, rejoin = coordinator._send_req, coordinator._do_rejoin_group

        async def send_watched(request: Any) -> Any:
            try:
                answer = await send(request)
            except errors.KafkaError:
                self._cut_off = True
                raise
            self._hear(request, answer)
            return answer

        async def rejoin_watched(subscription: Any) -> bool:
            if self._member_id and not coordinator.member_id:  # it would join as a new one
                who = WhoIsIt(coordinator.group_id, no_generation, self._member_id, self._name)
                try:
                    code = (await coordinator._send_req(who)).error_code
                except errors.KafkaError:
                    return False  # it looks for the coordinator, and comes again
                if self.taken:
                    raise errors.KafkaError("replaced")
                if code not in still_ours:
                    coordinator.coordinator_dead()  # it is none any more, or not yet
                    return False
                # an answer to what is asked now may get lost: then another id is ours, and we don't know it
                self._member_id = ""
            try:
                return bool(await rejoin(subscription))
            finally:
                self._member_id = coordinator.member_id or self._member_id

        coordinator._send_req, coordinator._do_rejoin_group = send_watched, rejoin_watched

    def _hear(self, request: Any, answer: Any) -> None:
        """Trap: a broker that dies in a rebalance comes back with the group as it last wrote it. Our id isn't in there, and
        the one that our dead predecessor had is, so it takes us for somebody replaced: once, we join as new. Had another
        one really replaced us, it is the one to end now."""
        code, joins = getattr(answer, "error_code", 0), isinstance(request, JoinGroupRequest)
        if code == fenced_instance_id and joins and self._cut_off:
            answer.error_code, self._member_id = unknown_member_id, ""
        elif code == fenced_instance_id:
            self.taken = True
        self._cut_off &= not joins
