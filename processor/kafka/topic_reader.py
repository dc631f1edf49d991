"""Read one input topic of a partition."""

import asyncio
import time
from typing import Any, Final

from aiokafka import errors

from processor.engine.ports import Broken
from processor.events.cloudevents import Record
from processor.kafka.errors import error_kind

read_ahead_at_most: Final = 400  # records of a topic, read while a turn runs
position_every_ms: Final = 500  # how soon a position that passed markers only is noticed
silent_after_s: Final = 20.0  # no response to a fetch: the broker is gone
paused_s: Final = 5.0  # a fetch takes half a second; after so long this process itself was paused


class TopicReader:
    """Reads one topic ahead by one slice while a turn runs. Not taking records is the backpressure.

    Each topic has a consumer of its own. aiokafka has one fetch under way per broker, so in a shared consumer a backlog
    of changes waits for the long polls of quiet topics, and a request for the backlog (half the throughput, four times
    the latency).
    """

    def __init__(self, topic: str, at: Any, consumer: Any, position: int, arrived: asyncio.Event) -> None:
        self._topic, self._at, self._consumer = topic, at, consumer
        self._ahead: list[Record] = []
        self._read_to = position  # after the records that are read ahead
        self._room, self._arrived = asyncio.Event(), arrived
        self._room.set()
        consumer.assign([at])
        consumer.seek(at, position)
        self.task = asyncio.create_task(self._read(), name=f"read {topic} {at.partition}")
        self.task.add_done_callback(lambda _: arrived.set())

    @property
    def position(self) -> int:
        """Return the position after the taken records; it passes markers once nothing is read ahead."""
        return self._ahead[0].offset if self._ahead else self._read_to

    def take(self, share: int, at_most: int) -> list[Record]:
        number = min(share, at_most)
        taken, self._ahead = self._ahead[:number], self._ahead[number:]
        if not self._ahead:
            self._room.set()
        return taken

    def check(self) -> None:
        """Raise Broken once reading has failed."""
        if self.task.done():
            self.task.result()

    async def _read(self) -> None:
        try:
            await self._follow()
        except errors.OffsetOutOfRangeError as error:
            raise Broken(f"{self._topic}: position {self._read_to} is out of range") from error
        except errors.KafkaError as error:
            raise Broken(f"{self._topic}: {error_kind(error)}") from error

    async def _follow(self) -> None:
        consumer, last_response, since = self._consumer, None, time.monotonic()
        while True:
            if not self._room.is_set():
                await self._room.wait()
                since = time.monotonic()
            asked = time.monotonic()
            found = await consumer.getmany(self._at, timeout_ms=position_every_ms, max_records=read_ahead_at_most)
            if time.monotonic() > asked + paused_s:
                since = time.monotonic()
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
            response_at = consumer.last_poll_timestamp(self._at)
            if response_at != last_response:
                last_response, since = response_at, time.monotonic()
            elif time.monotonic() > since + silent_after_s:
                raise Broken(f"{self._topic}: no answer to a fetch for {silent_after_s:.0f} s")
