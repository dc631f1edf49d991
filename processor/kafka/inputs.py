"""What a partition reads: one input topic each."""

import asyncio
import time
from typing import Any, Final

from aiokafka import errors

from processor.engine.ports import Broken
from processor.events.cloudevents import Record
from processor.kafka.refusals import why

ahead_at_most: Final = 400  # records of a topic, read while a turn runs
look_up_ms: Final = 500  # how soon a position that passed markers only is told
silent_after_s: Final = 20.0  # no answer to a fetch: the broker is gone
away_s: Final = 5.0  # a look takes half a second; after so long it was this process that stood still


class Input:
    """One input topic of a partition, read ahead by one slice while a turn runs: whoever doesn't poll holds it back.

    A consumer of its own: aiokafka has one fetch at a time under way to a broker, so in a common one a backlog of
    changes waits for the long polls of quiet topics, and a request for the backlog (half the throughput, four times the
    latency).
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
            looked = time.monotonic()
            found = await consumer.getmany(self._at, timeout_ms=look_up_ms, max_records=ahead_at_most)
            if time.monotonic() > looked + away_s:
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
            answered = consumer.last_poll_timestamp(self._at)
            if answered != heard:
                heard, since = answered, time.monotonic()
            elif time.monotonic() > since + silent_after_s:
                raise Broken(f"{self._topic}: no answer to a fetch for {silent_after_s:.0f} s")
