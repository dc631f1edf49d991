"""One partition's log: a transaction per turn, the changelog of its state, and its input topics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import TopicPartition, errors
from aiokafka.protocol.metadata import MetadataRequest

from processor.engine.ports import Broken, Fenced, Restored
from processor.events.cloudevents import Record
from processor.kafka.changelog import (
    changelog_topic,
    earliest,
    first_record,
    identity_row,
    latest,
    log_offset,
    new_identity,
    read_committed,
    read_identity,
    read_uncommitted,
)
from processor.kafka.connection import KafkaConfig, ignore_failure, make_consumer, request_timeout_ms, stop_client
from processor.kafka.errors import error_kind
from processor.kafka.producers import fill_batches, transactional_producer
from processor.kafka.topic_reader import TopicReader, silent_after_s
from processor.shard.store import OutRecord
from processor.topics import INPUT_TOPICS, TOPICS, prefixed

poll_shares: Final = (
    ("sync.requests", 3, 4),
    ("lead.changes", 1, 2),
    ("contact.events", 1, 1),
    ("lead.changes", 1, 1),
    ("sync.requests", 1, 1),
)
"""The share of a poll's remaining limit that each topic gets in turn: requests first, and no topic starves."""

_open_within_s: Final = 30.0
commit_within_s: Final = 20.0  # a partition's new leader is there by then
_abort_within_s: Final = 3.0
_fetch_wait_ms: Final = 1_500  # one topic per consumer: a long poll delays no other, and a quiet partition costs little


class KafkaLog:
    """The `Log` of `ports.py`. Each opening needs a new one; after Broken or Fenced it can only be closed."""

    identity: str = ""

    def __init__(
        self,
        config: KafkaConfig,
        partition: int,
        report_positions: Callable[[int, Mapping[str, int]], None] = lambda partition, positions: None,
    ) -> None:
        """`report_positions` receives the positions after each commit, for lag tools."""
        self._config, self._partition, self._report_positions = config, partition, report_positions
        self._producer: Any = None
        self._clients: list[Any] = []  # of aiokafka, to be stopped
        self._bounds: dict[str, tuple[int, int]] = {}  # topic → begin and high watermark as of open()
        self._readers: dict[str, TopicReader] = {}
        self._positions: dict[str, int] = {}
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        try:
            async with asyncio.timeout(_open_within_s):
                await self._open()
        except Fenced:  # while the identity was written
            raise
        except Exception as error:
            raise Broken(f"open: {error_kind(error)}") from error

    async def changelog(self) -> tuple[int, int]:
        return self._bounds[changelog_topic]

    async def restore(self, start: int, end: int) -> AsyncIterator[Restored]:
        position, since = max(start, self._bounds[changelog_topic][0]), time.monotonic()
        if position >= end:
            return
        consumer, at = self._consumer(), self._at(changelog_topic)
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
            raise Broken(f"restore: {error_kind(error)}") from error
        await stop_client(consumer)

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
            raise Broken(f"assign: {error_kind(error)}") from error
        for consumer, (topic, position) in zip(consumers, self._positions.items(), strict=True):
            self._readers[topic] = TopicReader(topic, self._at(topic), consumer, position, self._arrived)
        return alerts

    async def poll(self, limit: int) -> Sequence[Record]:
        """Poll once at a time. Returns without a record when a position moved over markers only."""
        while True:
            self._arrived.clear()
            for reader in self._readers.values():
                reader.check()
            taken: list[Record] = []
            for topic, part, of in poll_shares:
                taken += self._readers[topic].take((limit - len(taken)) * part // of or 1, limit - len(taken))
            positions = {topic: reader.position for topic, reader in self._readers.items()}
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
            raise Broken(f"end of lead.changes: {error_kind(error)}") from error

    async def commit(self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        producer, ending = self._producer, False
        try:
            async with asyncio.timeout(commit_within_s):
                await producer.begin_transaction()
                batches = fill_batches(producer, self._config.prefix, self._partition, records, rows)
                sent = [
                    ignore_failure(await producer.send_batch(batch, topic, partition=partition))
                    for (topic, partition), batch in batches
                ]
                acknowledged = await asyncio.gather(*sent)  # trap: else it commits though one of its batches failed
                ending = True
                await producer.commit_transaction()
        except (errors.ProducerFenced, errors.InvalidProducerEpoch) as error:
            raise Fenced(f"commit: {error_kind(error)}") from error
        except Exception as error:  # also the assertions of a producer that is dead already
            if not ending:
                await self._abort()
            raise Broken(f"commit: {error_kind(error)}{', its outcome is unknown' if ending else ''}") from error
        self._report_positions(self._partition, self._positions)
        last = acknowledged[-1].offset if rows else -1  # the changelog's batches come last
        return last + batches[-1][1].record_count() if last >= 0 else None  # trap: a repeated batch may have offset -1

    async def close(self) -> None:
        reading = [reader.task for reader in self._readers.values()]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await asyncio.gather(*(stop_client(client) for client in self._clients))

    async def _open(self) -> None:
        config = self._config
        # the group is no part of the id: two groups fence each other
        self._producer = transactional_producer(config, f"{config.prefix}processor.{self._partition}")
        self._clients.append(self._producer)
        await self._producer.start()
        client = self._producer.client
        # all at once, else the first turn asks for one after the other
        await client.set_topics([prefixed(config.prefix, topic) for topic in TOPICS])
        if self._partition not in await self._producer.partitions_for(prefixed(config.prefix, changelog_topic)):
            raise Broken(f"there is no partition {self._partition}")
        cluster = (await client.send(client.get_random_node(), MetadataRequest([]))).cluster_id
        topics = (*INPUT_TOPICS, changelog_topic)
        begins = await asyncio.gather(*(self._offset(topic, earliest, read_uncommitted) for topic in topics))
        # trap: read_committed would give the last stable offset; rows beyond it must be restored, too
        ends = await asyncio.gather(*(self._offset(topic, latest, read_uncommitted) for topic in topics))
        self._bounds = dict(zip(topics, zip(begins, ends, strict=True), strict=True))
        self.identity = f"{cluster} {prefixed(config.prefix, changelog_topic)} {await self._identify()}"

    async def _identify(self) -> str:
        """Return the identity that the changelog begins with. An empty one gets its identity row first."""
        begin, end = self._bounds[changelog_topic]
        first = await first_record(self._producer.client, self._at(changelog_topic), begin, end)
        if first is not None:
            return read_identity(first)
        identity = new_identity()
        await self.commit([], [identity_row(identity)])
        self._bounds[changelog_topic] = begin, await self._offset(changelog_topic, latest, read_uncommitted)
        return identity

    async def _abort(self) -> None:
        """Abort, so that no reader waits until the log is reopened. Trap: the end of a transaction can wait forever."""
        with suppress(Exception):
            async with asyncio.timeout(_abort_within_s):
                await self._producer.abort_transaction()

    async def _offset(self, topic: str, which: int, isolation: int) -> int:
        return await log_offset(self._producer.client, self._at(topic), which, isolation)

    def _consumer(self) -> Any:
        name = f"{self._config.prefix}processor.{self._partition}"
        consumer = make_consumer(
            self._config, client_id=name, fetch_max_wait_ms=_fetch_wait_ms, consumer_timeout_ms=1_000
        )
        self._clients.append(consumer)
        return consumer

    def _at(self, topic: str) -> Any:
        return TopicPartition(prefixed(self._config.prefix, topic), self._partition)
