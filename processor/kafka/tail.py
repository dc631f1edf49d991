"""Read topics as they were written, for commands and tests."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, Literal, Self

from aiokafka import TopicPartition

from processor.events.cloudevents import Record
from processor.kafka.connection import KafkaConfig, make_consumer, stop_client
from processor.kafka.errors import reach_kafka
from processor.kafka.topic_admin import partition_counts
from processor.topics import prefixed

_poll_ms: Final = 500  # how soon the end is noticed, where nothing is followed


class Tail:
    """Committed records of some topics, of all partitions or one. `async with` fixes the start, then iterate.

    `start` is the topics' "end" or "start" as of then, or a time in ms. Without `follow`, iterating ends with the last
    record that was there by then. Raises KafkaUnreachable or KafkaRefused.
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
            async with reach_kafka(self._config):
                await self._consumer.start()
                await self._seek(await partition_counts(self._consumer._client, self._names))
        except BaseException:
            await stop_client(self._consumer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop_client(self._consumer)

    async def __aiter__(self) -> AsyncIterator[Record]:
        reading = set(self._ends)
        while True:
            if not self._follow:
                reading = {at for at in reading if await self._consumer.position(at) < self._ends[at]}
                if not reading:
                    return
            found = await self._consumer.getmany(timeout_ms=_poll_ms)
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
