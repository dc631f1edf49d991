"""A member of the consumer group: `join_group` is one, and reports to a `GroupListener`."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition, errors
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from processor.engine.group import GroupIntervals, GroupListener, InstanceReplaced, monotonic_ms
from processor.kafka.connection import KafkaConfig, make_consumer, request_timeout_ms, stop_client
from processor.kafka.errors import error_kind
from processor.kafka.static_member import StaticMember
from processor.topics import prefixed

offsets_every_s: Final = 5.0
rejoin_after_s: Final = 1.0


class _RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]  # the base is Any
    """Passes assignments on and nothing else (trap: heartbeats stop while it runs).

    It ignores revocations: an eager rebalance revokes all, and a partition that comes back carries on as it was.
    """

    def __init__(self, consumer: Any, assignor: Any, listener: GroupListener) -> None:
        self._consumer, self._assignor, self._listener = consumer, assignor, listener
        self._asked_ms = monotonic_ms()

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._asked_ms = monotonic_ms()  # the request to join leaves after this

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        assigned = list(assigned)
        self._consumer.pause(*assigned)  # trap: each assignment begins unpaused
        # else a member that missed a generation would claim partitions that were given away since
        self._assignor.generation = self._consumer._coordinator.generation
        self._listener.assigned(frozenset(one.partition for one in assigned), self._asked_ms)


async def join_group(config: KafkaConfig, listener: GroupListener, intervals: GroupIntervals | None = None) -> None:
    """Be a member of the group until cancelled, subscribed to `lead.changes` only. After any failure, join again.

    Raises InstanceReplaced, for good: joining again would replace the successor, which would join again, and so on.
    """
    intervals = intervals or GroupIntervals.of_member(static=config.group_instance_id is not None)
    static = None if config.group_instance_id is None else StaticMember(config.group_instance_id)
    while True:
        # sticky, so that few partitions move; a class of its own, as aiokafka keeps a member's state in the class
        assignor = type("Sticky", (StickyPartitionAssignor,), {})
        consumer = _group_consumer(config, intervals, assignor)
        try:
            await consumer.start()
            watch_heartbeats(consumer._coordinator, listener.confirmed)
            if static is not None:
                static.watch(consumer._coordinator)
            topic = prefixed(config.prefix, "lead.changes")
            consumer.subscribe([topic], listener=_RebalanceListener(consumer, assignor, listener))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_commit_offsets(consumer, config.prefix, listener), name="group offsets")
                while True:  # trap: a member without a pending getone() is taken for dead, and blocks its own rejoin
                    await consumer.getone()
        except* (errors.KafkaError, AssertionError) as group:  # aiokafka asserts its expectations of a broker
            if static is None or not static.replaced:
                listener.lost(error_kind(group.exceptions[0]))
        finally:
            await stop_client(consumer)
        if static is not None and static.replaced:
            raise InstanceReplaced(
                f"another worker has joined as KAFKA_GROUP_INSTANCE_ID={config.group_instance_id}; this one ends"
            )
        await asyncio.sleep(rejoin_after_s)


def _group_consumer(config: KafkaConfig, intervals: GroupIntervals, assignor: type) -> Any:
    return make_consumer(
        config,
        group_id=config.group_id,
        group_instance_id=config.group_instance_id,
        auto_offset_reset="latest",  # of no effect: it reads nothing; `none` would raise where nothing is committed
        partition_assignment_strategy=[assignor],
        session_timeout_ms=intervals.session_ms,
        heartbeat_interval_ms=intervals.heartbeat_ms,
        max_poll_interval_ms=intervals.poll_ms,
    )


def watch_heartbeats(coordinator: Any, confirmed: Callable[[int], None]) -> None:
    """Report each heartbeat that proves the membership. aiokafka has no such hook: its method is wrapped, here alone."""
    beat = coordinator._do_heartbeat

    async def watched() -> bool:
        asked_ms = monotonic_ms()
        alive: bool = await beat()
        # true also while the group rebalances: then it has asked to join again, and proves nothing
        if alive and not coordinator._rejoin_needed_fut.done():
            confirmed(asked_ms)
        return alive

    coordinator._do_heartbeat = watched


async def _commit_offsets(consumer: Any, prefix: str, listener: GroupListener) -> None:
    """Commit the positions as group offsets, for lag tools only: a failure fails nothing.

    Nothing reads them (trap: they may be from before a commit). They are committed rarely and outside of transactions
    (trap: in each one they cost the broker more than all the rest), and past the consumer's `commit()`, which refuses
    partitions that it doesn't own (trap).
    """
    committed: Mapping[tuple[str, int], int] = {}
    while True:
        await asyncio.sleep(offsets_every_s)
        positions = listener.positions()
        assignment = consumer._subscription.subscription.assignment
        if assignment is None or positions == committed:
            continue
        offsets = {
            TopicPartition(prefixed(prefix, topic), partition): OffsetAndMetadata(position, "")
            for (topic, partition), position in positions.items()
        }
        with suppress(Exception):
            async with asyncio.timeout(request_timeout_ms / 1000):
                await consumer._coordinator.commit_offsets(assignment, offsets)
                committed = positions
