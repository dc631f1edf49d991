"""Kafka, and the only module that imports aiokafka. Its traps are named where they are avoided ("trap:").

`KafkaLog` is a partition's side of it, the runner's `Log` port; `join` is a member of the consumer group, which `membership.py`
listens to; `Tail`, `publish`, `create_topics` and `describe_topics` serve commands, start-up and tests.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, Self

# aiokafka ships no py.typed: whatever comes from it is Any, and that hole stays in this room
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    OffsetAndMetadata,
    TopicPartition,
    errors,
)
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from processor.engine.ports import Broken, Fenced, Restored
from processor.events.wire import Record
from processor.shard.state import Out
from processor.topics import INPUT_TOPICS, TOPICS, message_max_bytes, prefixed

changelog: Final = "processor.changelog"
shares: Final = (
    ("sync.requests", 3, 4),
    ("lead.changes", 1, 2),
    ("contact.events", 1, 1),
    ("lead.changes", 1, 1),
    ("sync.requests", 1, 1),
)
"""Which part of what is left of a poll's limit goes to whom: requests first, and nobody starves."""

request_timeout_ms: Final = 10_000
open_within_s: Final = 30.0
commit_within_s: Final = 20.0  # a partition's new leader is there by then
transaction_timeout_ms: Final = 30_000  # after `commit_within_s`: the coordinator's time-out looks like a fence
abort_within_s: Final = 3.0
stop_within_s: Final = 2.0  # and a second at most to cut what doesn't stop
reach_within_s: Final = 10.0
silent_after_s: Final = 20.0  # no answer to a fetch: the broker is gone

batch_bytes: Final = 1024 * 1024  # trap: a batch is limited, so a large turn is split; a larger record goes alone
fetch_bytes: Final = 1024 * 1024  # at a time and topic: bounded memory; a larger record comes all the same (KIP-74)
fetch_wait_ms: Final = 1_500  # one topic a consumer: a long poll holds up nobody, so a quiet partition costs little
ahead_at_most: Final = 400  # records of a topic, read while a turn runs
look_up_ms: Final = 500  # how soon a position that passed markers only is told
offsets_every_s: Final = 5.0

latest, earliest, read_uncommitted, read_committed = -1, -2, 0, 1  # ListOffsets, as the protocol spells it
already_exists: Final = 36


class Unreachable(Exception):
    """Kafka doesn't answer. The message says where it was looked for."""


class Refused(Exception):
    """Kafka answered, and said no. The message says to what, and why."""


@dataclass(frozen=True)
class KafkaConfig:
    bootstrap: str  # host:port, several with commas between
    security: Mapping[str, object] = field(default_factory=dict, repr=False)  # aiokafka's arguments, secrets too
    prefix: str = ""  # of topics and transactional ids
    group_id: str = "hydrant"
    group_instance_id: str | None = None  # static membership


class Seldom(logging.Filter):
    """A broker that is gone is told of once in 10 s, not hundreds of times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        what, now = (record.name, str(record.msg)), time.monotonic()
        told = self._told.get(what)
        if told is not None and now < told + 10:
            return False
        self._told[what] = now
        return True


# Below WARNING aiokafka writes keys and values into the log (invariant 9). Done on import, so that nobody who uses Kafka can
# forget it; a filter works on its own logger only.
logging.getLogger("aiokafka").setLevel(logging.WARNING)
for _name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "aiokafka"]:
    logging.getLogger(_name).addFilter(Seldom())


class KafkaLog:
    """One partition's log, the `Log` of `ports.py`: a new one for each opening, after Broken or Fenced only good to close."""

    identity: str = ""

    def __init__(
        self, config: KafkaConfig, partition: int, reached: Callable[[int, Mapping[str, int]], None] | None = None
    ) -> None:
        """`reached` is told the positions after each commit, for lag tools."""
        self._config, self._partition, self._reached = config, partition, reached
        self._producer: Any = None
        self._parts: list[Any] = []  # of aiokafka's, to be stopped
        self._bounds: dict[str, tuple[int, int]] = {}  # topic → begin and high watermark as of open()
        self._inputs: dict[str, Input] = {}
        self._positions: dict[str, int] = {}
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        try:
            async with asyncio.timeout(open_within_s):
                await self._open()
        except Exception as error:
            raise Broken(f"open: {why(error)}") from error

    async def changelog(self) -> tuple[int, int]:
        return self._bounds[changelog]

    async def restore(self, start: int, end: int) -> AsyncIterator[Restored]:
        position, since = max(start, self._bounds[changelog][0]), time.monotonic()
        if position >= end:
            return
        consumer, at = self._consumer(), self._at(changelog)
        try:
            await consumer.start()
            consumer.assign([at])
            consumer.seek(at, position)
            # trap: a tail of control and aborted batches brings no record, but the position passes it
            while position < end:
                found = await consumer.getmany(at, timeout_ms=50)
                reached = await consumer.position(at)
                if reached != position:
                    position, since = reached, time.monotonic()
                    yield Restored([(one.key.decode(), one.value) for one in found.get(at, ())], position, end)
                elif time.monotonic() > since + silent_after_s:
                    raise Broken(f"restore: it stands still at {position} of {end}")
        except errors.KafkaError as error:
            raise Broken(f"restore: {why(error)}") from error
        await stop(consumer)

    async def assign(self, positions: Mapping[str, int]) -> Mapping[str, str]:
        alerts = {}
        for topic in INPUT_TOPICS:
            (begin, end), position = self._bounds[topic], positions.get(topic)
            if position is not None and not begin <= position <= end:
                alerts[topic] = f"position {position} is outside of the log, {begin} to {end}: read from its start"
                position = None
            self._positions[topic] = begin if position is None else position
        consumers = [self._consumer() for _ in self._positions]
        try:
            for consumer in consumers:
                await consumer.start()
        except errors.KafkaError as error:
            raise Broken(f"assign: {why(error)}") from error
        for consumer, (topic, position) in zip(consumers, self._positions.items(), strict=True):
            self._inputs[topic] = Input(topic, self._at(topic), consumer, position, self._arrived)
        return alerts

    async def poll(self, limit: int) -> Sequence[Record]:
        """One at a time. Returns without a record when a position moved over markers only."""
        while True:
            self._arrived.clear()
            for one in self._inputs.values():
                one.check()
            taken: list[Record] = []
            for topic, part, of in shares:
                taken += self._inputs[topic].take((limit - len(taken)) * part // of or 1, limit - len(taken))
            positions = {topic: one.position for topic, one in self._inputs.items()}
            if taken or positions != self._positions:
                self._positions = positions
                return taken
            await self._arrived.wait()  # the only wait, and nothing is in hand: cancelling it loses nothing

    def positions(self) -> Mapping[str, int]:
        return dict(self._positions)

    async def changes_end(self) -> int:
        try:
            async with asyncio.timeout(request_timeout_ms / 1000):
                return await self._offset("lead.changes", latest, read_committed)
        except (errors.KafkaError, TimeoutError) as error:
            raise Broken(f"end of lead.changes: {why(error)}") from error

    async def commit(self, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        producer, ending = self._producer, False
        try:
            async with asyncio.timeout(commit_within_s):
                await producer.begin_transaction()
                batches = self._batches(records, rows)
                sent = [
                    hushed(await producer.send_batch(batch, topic, partition=partition))
                    for (topic, partition), batch in batches
                ]
                answers = await asyncio.gather(*sent)  # trap: else it commits though one of its batches failed
                ending = True
                await producer.commit_transaction()
        except (errors.ProducerFenced, errors.InvalidProducerEpoch) as error:
            raise Fenced(f"commit: {why(error)}") from error
        except Exception as error:  # also the assertions of a producer that is dead already
            if not ending:
                await self._abort()
            raise Broken(f"commit: {why(error)}{', its outcome is unknown' if ending else ''}") from error
        if self._reached:
            self._reached(self._partition, self._positions)
        last = answers[-1].offset if rows else -1  # the changelog's batches come last
        return last + batches[-1][1].record_count() if last >= 0 else None  # trap: a repeated batch may be told as -1

    async def close(self) -> None:
        for one in self._inputs.values():
            one.task.cancel()
        await asyncio.gather(*(one.task for one in self._inputs.values()), return_exceptions=True)
        await asyncio.gather(*(stop(part) for part in self._parts))

    async def _open(self) -> None:
        config = self._config
        name = f"{config.prefix}processor.{self._partition}"  # the group is no part of it: two groups fence each other
        self._producer = AIOKafkaProducer(
            bootstrap_servers=config.bootstrap,
            client_id=name,
            transactional_id=name,  # and with it idempotent
            acks="all",
            compression_type=None,  # gzip, at aiokafka's level 9, costs a large turn twice the CPU of all else in its commit
            max_batch_size=batch_bytes,
            linger_ms=0,
            request_timeout_ms=request_timeout_ms,
            transaction_timeout_ms=transaction_timeout_ms,
            **config.security,
        )
        self._parts.append(self._producer)
        await self._producer.start()  # InitProducerId fences any zombie and ends its transaction
        client = self._producer.client
        # at once, else the first turn asks for one after the other
        await client.set_topics([prefixed(config.prefix, topic) for topic in TOPICS])
        if self._partition not in await self._producer.partitions_for(prefixed(config.prefix, changelog)):
            raise Broken(f"there is no partition {self._partition}")
        cluster = (await client.send(client.get_random_node(), MetadataRequest([]))).cluster_id
        # trap: aiokafka learns no topic ids, so a topic made anew has the same identity; the changelog tells that itself
        self.identity = f"{cluster} {prefixed(config.prefix, changelog)}"
        for topic in (*INPUT_TOPICS, changelog):
            begin = await self._offset(topic, earliest, read_uncommitted)
            # trap: read_committed would tell the last stable offset; what lies beyond it is ours to restore, too
            self._bounds[topic] = begin, await self._offset(topic, latest, read_uncommitted)

    def _batches(
        self, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]
    ) -> list[tuple[tuple[str, int], Any]]:
        """One a topic and partition (trap: a send a record costs ten times as much), more where it is full; rows last."""
        batches: list[tuple[tuple[str, int], Any]] = []
        filling: dict[tuple[str, int], Any] = {}
        for topic, partition, key, value, headers, timestamp_ms in self._entries(records, rows):
            at = prefixed(self._config.prefix, topic), partition
            entry = {"key": key, "value": value, "headers": headers, "timestamp": timestamp_ms}
            if at not in filling or filling[at].append(**entry) is None:
                filling[at] = self._producer.create_batch()
                filling[at].append(**entry)  # the first one fits, whatever its size
                batches.append((at, filling[at]))
        return batches

    def _entries(
        self, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]
    ) -> Iterator[tuple[str, int, bytes, bytes | None, list[tuple[str, bytes]], int | None]]:
        for out in records:
            partition = self._partition if out.partition is None else out.partition
            yield out.topic, partition, out.key, out.value, list(out.headers), out.timestamp_ms
        for key, value in rows:
            yield changelog, self._partition, key.encode(), value, [], None

    async def _abort(self) -> None:
        """So that no reader waits until it is reopened. Trap: the end of a transaction can wait for ever."""
        with suppress(Exception):
            async with asyncio.timeout(abort_within_s):
                await self._producer.abort_transaction()

    async def _offset(self, topic: str, which: int, isolation: int) -> int:
        """As of now; bounded by the caller. On a consumer's connection it would wait behind the long poll."""
        client, at = self._producer.client, self._at(topic)
        while True:
            try:
                leader = client.cluster.leader_for_partition(at)
                if leader is None or leader < 0:
                    raise errors.LeaderNotAvailableError
                request = OffsetRequest(-1, isolation, [(at.topic, [(at.partition, which)])])
                ((_, ((_, code, _, offset),)),) = (await client.send(leader, request)).topics
                if not code:
                    return int(offset)
                raise errors.for_code(code)
            except errors.KafkaError as error:
                if not error.retriable:
                    raise
            await client.force_metadata_update()  # the leader moved
            await asyncio.sleep(0.1)

    def _consumer(self) -> Any:
        name = f"{self._config.prefix}processor.{self._partition}"
        consumer = make_consumer(
            self._config, client_id=name, fetch_max_wait_ms=fetch_wait_ms, consumer_timeout_ms=1_000
        )
        self._parts.append(consumer)
        return consumer

    def _at(self, topic: str) -> Any:
        return TopicPartition(prefixed(self._config.prefix, topic), self._partition)


class Input:
    """One input topic of a partition, read ahead by one slice while a turn runs: whoever doesn't poll holds it back.

    A consumer of its own: aiokafka has one fetch at a time under way to a broker, so in a common one a backlog of changes
    waits for the long polls of quiet topics, and a request for the backlog (half the throughput, four times the latency).
    """

    def __init__(self, topic: str, at: Any, consumer: Any, position: int, arrived: asyncio.Event) -> None:
        self._topic, self._at, self._consumer = topic, at, consumer
        self._ahead: list[Record] = []
        self._read_to = position  # after what lies ahead
        self._room, self._arrived = asyncio.Event(), arrived
        self._room.set()
        consumer.assign([at])
        consumer.seek(at, position)
        self.task = asyncio.create_task(self._read(), name=f"read {topic} {at.partition}")
        self.task.add_done_callback(lambda _: arrived.set())

    @property
    def position(self) -> int:
        """After what was taken; it passes markers once nothing lies ahead."""
        return self._ahead[0].offset if self._ahead else self._read_to

    def take(self, share: int, at_most: int) -> list[Record]:
        number = min(share, at_most)
        taken, self._ahead = self._ahead[:number], self._ahead[number:]
        if not self._ahead:
            self._room.set()
        return taken

    def check(self) -> None:
        """Raises Broken once reading has failed."""
        if self.task.done():
            self.task.result()

    async def _read(self) -> None:
        try:
            await self._follow()
        except errors.OffsetOutOfRangeError as error:
            raise Broken(f"{self._topic}: position {self._read_to} is out of range") from error
        except errors.KafkaError as error:
            raise Broken(f"{self._topic}: {why(error)}") from error

    async def _follow(self) -> None:
        consumer, heard, since = self._consumer, None, time.monotonic()
        while True:
            if not self._room.is_set():
                await self._room.wait()
                since = time.monotonic()
            found = await consumer.getmany(self._at, timeout_ms=look_up_ms, max_records=ahead_at_most)
            read_to = await consumer.position(self._at)
            self._ahead = [
                Record(self._topic, one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)
                for one in found.get(self._at, ())
            ]
            if read_to != self._read_to:
                self._read_to = read_to
                self._arrived.set()
            if self._ahead:
                self._room.clear()
            answered = consumer.last_poll_timestamp(self._at)
            if answered != heard:
                heard, since = answered, time.monotonic()
            elif time.monotonic() > since + silent_after_s:
                raise Broken(f"{self._topic}: no answer to a fetch for {silent_after_s:.0f} s")


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
    """It only notes (trap: heartbeats stop while it runs), and on revoke not even that: an eager rebalance revokes all, and
    what comes back carries on as it was."""

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
    """Be a member of the group, subscribed to `lead.changes` only, until cancelled; whatever goes wrong, join anew."""
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
            topic = prefixed(config.prefix, "lead.changes")
            consumer.subscribe([topic], listener=Listener(consumer, assignor, heard))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(commit_offsets(consumer, config.prefix, heard), name="group offsets")
                while True:  # trap: a member without a pending getone() is taken for dead, and bars its own way back
                    await consumer.getone()
        except* (errors.KafkaError, AssertionError) as group:  # aiokafka asserts what it expects of a broker
            heard.lost(why(group.exceptions[0]))
        finally:
            await stop(consumer)
        await asyncio.sleep(1)


def watch_heartbeats(coordinator: Any, confirmed: Callable[[int], None]) -> None:
    """Tell of each heartbeat that proves us a member. aiokafka has no such hook: its method is wrapped, in this one place."""
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

    Seldom and outside of transactions (trap: in each one they cost the broker more than all the rest), and past `commit()`,
    which refuses what its consumer doesn't own (trap)."""
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


class Tail:
    """Committed records of some topics, all partitions or one. `async with` settles where it starts, then iterate.

    `start`: the topics' "end" or "start" as of then, or a time in ms. Not followed, it ends with what was there by then.
    Raises Unreachable or Refused.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Iterable[str],
        *,
        partition: int | None = None,
        start: Literal["start", "end"] | int = "end",
        follow: bool = True,
    ) -> None:
        self._config, self._partition, self._start, self._follow = config, partition, start, follow
        self._names = {prefixed(config.prefix, topic): topic for topic in topics}
        self._ends: dict[Any, int] = {}

    async def __aenter__(self) -> Self:
        self._consumer = make_consumer(self._config)
        try:
            async with reaching(self._config):
                await self._consumer.start()
                await self._seek(await partition_counts(self._consumer._client, self._names))
        except BaseException:
            await stop(self._consumer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._consumer)

    async def __aiter__(self) -> AsyncIterator[Record]:
        reading = set(self._ends)
        while True:
            if not self._follow:
                reading = {at for at in reading if await self._consumer.position(at) < self._ends[at]}
                if not reading:
                    return
            found = await self._consumer.getmany(timeout_ms=look_up_ms)
            for at, records in found.items():
                for one in records:
                    if self._follow or one.offset < self._ends[at]:
                        name = self._names[one.topic]
                        yield Record(name, one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)

    async def _seek(self, known: Mapping[str, int]) -> None:
        consumer = self._consumer
        every = [
            TopicPartition(name, partition)
            for name, count in known.items()
            for partition in (range(count) if self._partition is None else [self._partition])
        ]
        consumer.assign(every)
        self._ends = await consumer.end_offsets(every)
        if self._start == "end":
            starts = self._ends
        else:
            starts = await consumer.beginning_offsets(every)
            if self._start != "start":
                later = await consumer.offsets_for_times(dict.fromkeys(every, self._start))
                starts = {at: later[at].offset if later[at] else self._ends[at] for at in every}
        for at, offset in starts.items():
            consumer.seek(at, offset)


class Publisher:
    """An upstream's producer: idempotent, on all replicas, in order. `async with`; raises Unreachable or Refused."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: Any = None
        self._known: set[str] = set()  # topics that are there

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._config.bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_request_size=message_max_bytes,
            request_timeout_ms=request_timeout_ms,
            **self._config.security,
        )
        try:
            async with reaching(self._config):
                await self._producer.start()
        except BaseException:
            await stop(self._producer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._producer)

    async def publish(self, records: Sequence[Out]) -> None:
        """Each to the partition it names, else to the home of its key. Returns once all of them are in the log."""
        async with reaching(self._config):
            names = {out.topic: prefixed(self._config.prefix, out.topic) for out in records}
            if unknown := set(names.values()) - self._known:
                self._known |= set(await partition_counts(self._producer.client, unknown))
            sent = [
                await self._producer.send(
                    names[out.topic], out.value, out.key, out.partition, headers=list(out.headers)
                )
                for out in records
            ]
            await asyncio.gather(*sent)


async def publish(
    config: KafkaConfig, topic: str, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """One record, to the home of its key. Raises Unreachable or Refused."""
    async with Publisher(config) as publisher:
        await publisher.publish([Out(topic, key, value, tuple(headers))])


async def create_topics(
    config: KafkaConfig, partitions: int, replication: int | None = None
) -> Mapping[str, Literal["created", "exists"]]:
    """The topics of the table that aren't there yet; without `replication` the broker's. Raises Unreachable or Refused."""
    asked = [
        NewTopic(
            prefixed(config.prefix, topic.name),
            num_partitions=partitions,
            replication_factor=replication or -1,
            replica_assignments=None if replication else {},  # only so does NewTopic let -1 pass
            topic_configs=topic.configs,
        )
        for topic in TOPICS.values()
    ]
    async with administrating(config) as admin:
        answer = await admin.create_topics(asked, timeout_ms=request_timeout_ms)
        failed = [(name, code, text) for name, code, text in answer.topic_errors if code not in (0, already_exists)]
        if failed:
            raise Refused("; ".join(f"{name}: {text or errors.for_code(code).__name__}" for name, code, text in failed))
        exist = {name for name, code, _ in answer.topic_errors if code}
        wanted = {topic.name for topic in asked}
        # the broker hears of them a little later than the controller, and tells nobody
        while not wanted <= {topic["topic"] for topic in await admin.describe_topics()}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return {topic: "exists" if prefixed(config.prefix, topic) in exist else "created" for topic in TOPICS}


async def describe_topics(config: KafkaConfig) -> Mapping[str, tuple[int, str]]:
    """Those of the table that are there → partitions and `cleanup.policy`. Raises Unreachable or Refused."""
    async with administrating(config) as admin:
        # all of them: naming one that is missing would create it on many a broker
        described = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics()}
        there = {
            prefixed(config.prefix, topic): topic for topic in TOPICS if prefixed(config.prefix, topic) in described
        }
        if not there:
            return {}
        ask = [ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": None}) for name in there]
        (answer,) = await admin.describe_configs(ask)
    found = {}
    for code, text, _, name, entries in answer.resources:
        if code:
            raise Refused(f"{name}: {text or errors.for_code(code).__name__}")
        found[there[name]] = described[name], str(entries[0][1])
    return found


@asynccontextmanager
async def administrating(config: KafkaConfig) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=config.bootstrap, request_timeout_ms=request_timeout_ms, **config.security
    )
    try:
        async with reaching(config):
            await admin.start()
            yield admin
    finally:
        with suppress(Exception):
            async with asyncio.timeout(stop_within_s):
                await admin.close()


@asynccontextmanager
async def reaching(config: KafkaConfig) -> AsyncIterator[None]:
    """Whatever is done inside ends within `reach_within_s`, or raises Unreachable or Refused."""
    try:
        async with asyncio.timeout(reach_within_s):
            yield
    except TimeoutError as error:
        raise Unreachable(f"no answer from {config.bootstrap} within {reach_within_s:.0f} s") from error
    except errors.KafkaError as error:
        if error.retriable or isinstance(error, errors.KafkaTimeoutError):
            raise Unreachable(f"no answer from {config.bootstrap}") from error
        raise Refused(why(error)) from error


async def partition_counts(client: Any, names: Iterable[str]) -> Mapping[str, int]:
    """Topic → number of partitions. Raises Refused where one is missing: naming it to the broker might create it."""
    known = await client.fetch_all_metadata()
    counts = {name: len(known.partitions_for_topic(name) or ()) for name in names}
    if missing := [name for name, count in counts.items() if not count]:
        raise Refused(f"there is no topic {', '.join(missing)}: `hydrant topics create` makes it")
    return counts


def make_consumer(config: KafkaConfig, **more: object) -> Any:
    """Trap: aiokafka's own defaults read what was aborted, skip what is new, commit by themselves and reset silently."""
    settings: dict[str, object] = {
        "group_id": None,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "fetch_max_bytes": fetch_bytes,
        "max_partition_fetch_bytes": fetch_bytes,
        "request_timeout_ms": request_timeout_ms,
    }
    return AIOKafkaConsumer(bootstrap_servers=config.bootstrap, **config.security, **settings | more)


async def stop(part: Any) -> None:
    """Stop a producer or consumer, and cut what doesn't. Trap: `stop()` can wait for ever for a broker that is gone."""
    if isinstance(part, AIOKafkaProducer) and (end := part._txn_manager.wait_for_transaction_end()) is not None:
        hushed(end)  # of a transaction that failed: told already
    # a task of its own: cancelling its own tasks, aiokafka lets a CancelledError out that isn't ours
    stopping = hushed(asyncio.create_task(part.stop(), name="stop"))
    await asyncio.wait([stopping], timeout=stop_within_s)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        await cut(part)


async def cut(part: Any) -> None:
    """End what a `stop()` that didn't end left behind, else it would go on looking for the broker in the background."""
    inner = [
        vars(part).get(name)
        for name in ("client", "_client", "_sender", "_message_accumulator", "_fetcher", "_coordinator")
    ]
    for _ in range(3):  # a sender that is cancelled waits for its own tasks
        left = [task for task in asyncio.all_tasks() if any(owner(task) is one for one in inner if one is not None)]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=0.2)
    with suppress(Exception):
        async with asyncio.timeout(0.4):
            await (inner[0] or inner[1]).close()


def owner(task: asyncio.Task[Any]) -> object:
    """Whose method it runs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None


def hushed(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Its failure is dealt with elsewhere: asyncio shall not tell of it as of one that nobody heard."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def monotonic_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)


def why(error: BaseException) -> str:
    """The kind of an error, never its text: that may hold what it choked on."""
    return str(error) if isinstance(error, Broken | Refused) else type(error).__name__
