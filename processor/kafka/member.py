"""A member of the consumer group: `join` is it, and tells a `Heard` what it hears."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition, errors
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from processor.kafka.config import KafkaConfig, request_timeout_ms
from processor.kafka.consumer import make_consumer
from processor.kafka.instance import Instance
from processor.kafka.refusals import Replaced, why
from processor.kafka.stopping import stop
from processor.topics import prefixed

offsets_every_s: Final = 5.0


class Heard(Protocol):
    """Who listens to a member of the group. Nothing here waits: no heartbeat leaves while a listener runs (trap)."""

    def assigned(self, partitions: frozenset[int], asked_ms: int) -> None:
        """These are ours from now on; a rebalance that gives all of them back tells the same ones again."""

    def confirmed(self, asked_ms: int) -> None:
        """A heartbeat that left then was answered: what was assigned last was ours still."""

    def lost(self, reason: str) -> None:
        """We are no member any more, and will try to be one again."""

    def reached(self) -> Mapping[tuple[str, int], int]:
        """Topic and partition → position, for lag tools."""


@dataclass(frozen=True, slots=True)
class Intervals:
    session_ms: int = 10_000  # a dead member's partitions move after it
    heartbeat_ms: int = 3_000
    poll_ms: int = 300_000  # never reached: a member always waits in getone()


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the base is Any
    """It only notes (trap: heartbeats stop while it runs), and on revoke not even that: an eager rebalance revokes all,
    and what comes back carries on as it was."""

    def __init__(self, consumer: Any, assignor: Any, heard: Heard) -> None:
        self._consumer, self._assignor, self._heard = consumer, assignor, heard
        self._asked_ms = monotonic_ms()

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._asked_ms = monotonic_ms()  # the request to join leaves after this

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        assigned = list(assigned)
        self._consumer.pause(*assigned)  # trap: each assignment begins unpaused
        # else a member that missed a generation would claim what was given away since
        self._assignor.generation = self._consumer._coordinator.generation
        self._heard.assigned(frozenset(one.partition for one in assigned), self._asked_ms)


async def join(config: KafkaConfig, intervals: Intervals, heard: Heard) -> None:
    """Be a member of the group, subscribed to `lead.changes` only, until cancelled; whatever goes wrong, join anew.

    Raises Replaced, for good: who joined anew then would replace its successor, which would join anew, …"""
    instance = None if config.group_instance_id is None else Instance(config.group_instance_id)
    while True:
        # sticky, so that few partitions move; a class of its own, as aiokafka keeps a member's state in the class
        assignor = type("Sticky", (StickyPartitionAssignor,), {})
        consumer = make_consumer(
            config,
            group_id=config.group_id,
            group_instance_id=config.group_instance_id,
            auto_offset_reset="latest",  # of no effect: it reads nothing; `none` would raise where nothing is committed
            partition_assignment_strategy=[assignor],
            session_timeout_ms=intervals.session_ms,
            heartbeat_interval_ms=intervals.heartbeat_ms,
            max_poll_interval_ms=intervals.poll_ms,
        )
        try:
            await consumer.start()
            watch_heartbeats(consumer._coordinator, heard.confirmed)
            if instance is not None:
                instance.watch(consumer._coordinator)
            topic = prefixed(config.prefix, "lead.changes")
            consumer.subscribe([topic], listener=Listener(consumer, assignor, heard))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(commit_offsets(consumer, config.prefix, heard), name="group offsets")
                while True:  # trap: a member without a pending getone() is taken for dead, and bars its own way back
                    await consumer.getone()
        except* (errors.KafkaError, AssertionError) as group:  # aiokafka asserts what it expects of a broker
            if instance is None or not instance.taken:
                heard.lost(why(group.exceptions[0]))
        finally:
            await stop(consumer)
        if instance is not None and instance.taken:
            raise Replaced(
                f"another worker has joined as KAFKA_GROUP_INSTANCE_ID={config.group_instance_id}; this one ends"
            )
        await asyncio.sleep(1)


def watch_heartbeats(coordinator: Any, confirmed: Callable[[int], None]) -> None:
    """Tell of each heartbeat that proves us a member. aiokafka has no such hook: its method is wrapped, here alone."""
    beat = coordinator._do_heartbeat

    async def watched() -> bool:
        asked_ms = monotonic_ms()
        alive: bool = await beat()
        # true also while the group rebalances: then it has asked to join again, and proves nothing
        if alive and not coordinator._rejoin_needed_fut.done():
            confirmed(asked_ms)
        return alive

    coordinator._do_heartbeat = watched


async def commit_offsets(consumer: Any, prefix: str, heard: Heard) -> None:
    """For lag tools only: nothing reads them (trap: they may be from before a commit), and their failure fails nothing.

    Seldom and outside of transactions (trap: in each one they cost the broker more than all the rest), and past
    `commit()`, which refuses what its consumer doesn't own (trap)."""
    told: Mapping[tuple[str, int], int] = {}
    while True:
        await asyncio.sleep(offsets_every_s)
        reached = heard.reached()
        assignment = consumer._subscription.subscription.assignment
        if assignment is None or reached == told:
            continue
        offsets = {
            TopicPartition(prefixed(prefix, topic), partition): OffsetAndMetadata(position, "")
            for (topic, partition), position in reached.items()
        }
        with suppress(Exception):
            async with asyncio.timeout(request_timeout_ms / 1000):
                await consumer._coordinator.commit_offsets(assignment, offsets)
                told = reached


def monotonic_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
