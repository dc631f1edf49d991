"""One partition's log: a transaction a turn, the changelog of its state, and the input topics from where that is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition, errors
from aiokafka.protocol.metadata import MetadataRequest

from processor.engine.ports import Broken, Fenced, Restored
from processor.events.cloudevents import Record
from processor.kafka.batches import batch_bytes, changelog, filled
from processor.kafka.config import KafkaConfig, request_timeout_ms
from processor.kafka.consumer import make_consumer
from processor.kafka.identity import fresh, key, told_by
from processor.kafka.inputs import Input, silent_after_s
from processor.kafka.leader import earliest, first_record, latest, offset, read_committed, read_uncommitted
from processor.kafka.refusals import why
from processor.kafka.stopping import hushed, stop
from processor.shard.state import Out
from processor.topics import INPUT_TOPICS, TOPICS, prefixed

shares: Final = (
    ("sync.requests", 3, 4),
    ("lead.changes", 1, 2),
    ("contact.events", 1, 1),
    ("lead.changes", 1, 1),
    ("sync.requests", 1, 1),
)
"""Which part of what is left of a poll's limit goes to whom: requests first, and nobody starves."""

open_within_s: Final = 30.0
commit_within_s: Final = 20.0  # a partition's new leader is there by then
transaction_timeout_ms: Final = 30_000  # after `commit_within_s`: the coordinator's time-out looks like a fence
abort_within_s: Final = 3.0
fetch_wait_ms: Final = 1_500  # one topic a consumer: a long poll holds up nobody, so a quiet partition costs little


class KafkaLog:
    """The `Log` of `ports.py`: a new one for each opening, after Broken or Fenced only good to close."""

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
        except Fenced:  # while we told the changelog who it is
            raise
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
                batches = filled(producer, self._config.prefix, self._partition, records, rows)
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
            compression_type=None,  # gzip, at aiokafka's level 9, costs a large turn twice the CPU of its whole commit
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
        topics = (*INPUT_TOPICS, changelog)
        begins = await asyncio.gather(*(self._offset(topic, earliest, read_uncommitted) for topic in topics))
        # trap: read_committed would tell the last stable offset; what lies beyond it is ours to restore, too
        ends = await asyncio.gather(*(self._offset(topic, latest, read_uncommitted) for topic in topics))
        self._bounds = dict(zip(topics, zip(begins, ends, strict=True), strict=True))
        self.identity = f"{cluster} {prefixed(config.prefix, changelog)} {await self._identify()}"

    async def _identify(self) -> str:
        """What the changelog says of who it is; an empty one is told first."""
        begin, end = self._bounds[changelog]
        first = await first_record(self._producer.client, self._at(changelog), begin, end)
        if first is not None:
            return told_by(first)
        name = fresh()
        await self.commit([], [(key, name.encode())])
        self._bounds[changelog] = begin, await self._offset(changelog, latest, read_uncommitted)
        return name

    async def _abort(self) -> None:
        """So that no reader waits until it is reopened. Trap: the end of a transaction can wait for ever."""
        with suppress(Exception):
            async with asyncio.timeout(abort_within_s):
                await self._producer.abort_transaction()

    async def _offset(self, topic: str, which: int, isolation: int) -> int:
        return await offset(self._producer.client, self._at(topic), which, isolation)

    def _consumer(self) -> Any:
        name = f"{self._config.prefix}processor.{self._partition}"
        consumer = make_consumer(
            self._config, client_id=name, fetch_max_wait_ms=fetch_wait_ms, consumer_timeout_ms=1_000
        )
        self._parts.append(consumer)
        return consumer

    def _at(self, topic: str) -> Any:
        return TopicPartition(prefixed(self._config.prefix, topic), self._partition)
