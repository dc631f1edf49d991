"""The inputs of the next turn: records, responses, the time, or the order to stop, whichever comes first."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from processor.engine.dispatch import Dispatch
from processor.engine.ports import Clock, Log
from processor.events.cloudevents import Event, Malformed, Record, decode
from processor.events.contract import SyncBackfillRequested, SyncLeadRequested, SyncLocationRequested
from processor.shard.inputs import Input, InputPosition

records_at_most: Final = 400  # in a turn: it is short, so one loop serves all shards
requests: Final = (SyncLeadRequested, SyncLocationRequested, SyncBackfillRequested)
drain_ms: Final = 5_000  # SIGTERM: responses in flight are waited for, but not for ever; the last commit comes after


class Inbox:
    """A lone event is handed over at once; what piles up during a turn is handed over together."""

    def __init__(self, log: Log, dispatch: Dispatch, clock: Clock, arrived: asyncio.Event, stop: asyncio.Event) -> None:
        self._log, self._dispatch, self._clock = log, dispatch, clock
        self._arrived, self._stop = arrived, stop
        self._poll: asyncio.Task[Sequence[Record]] | None = None
        self._stopping_since: int | None = None
        self._handed_over: Mapping[str, int] = {}  # positions

    async def next(self, wake_at: int | None) -> Sequence[Input] | None:
        """Return the inputs of the next turn, none when it is only time for one; None when stopped and drained."""
        while True:
            await asyncio.sleep(0)  # one loop serves all shards
            self._arrived.clear()
            stopping = self._stop.is_set()
            records = () if stopping else self._polled()
            positions = (
                self._handed_over if stopping else self._log.positions()
            )  # as of these records: no await between
            events = await self._decoded(records)
            responses = self._dispatch.take()
            now = self._clock.now()
            due = wake_at is not None and wake_at <= now and not stopping
            if responses or records or due:
                before, self._handed_over = self._handed_over, positions
                moved = [InputPosition(topic, at) for topic, at in positions.items() if at != before.get(topic)]
                return [*responses, *events, *moved]
            if stopping:
                self._stopping_since = self._stopping_since or now
                if self._dispatch.idle or now >= self._stopping_since + drain_ms:
                    return None
                wake_at = self._stopping_since + drain_ms
            await self._wait(None if wake_at is None else wake_at - now)

    async def close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.wait([self._poll])

    def _polled(self) -> Sequence[Record]:
        records: Sequence[Record] = ()
        if self._poll is not None and self._poll.done():
            records, self._poll = self._poll.result(), None
        if self._poll is None and not records:  # the next one after this turn: not reading is the backpressure
            self._poll = asyncio.create_task(self._log.poll(records_at_most), name="poll")
            self._poll.add_done_callback(lambda _: self._arrived.set())
        return records

    async def _decoded(self, records: Sequence[Record]) -> Sequence[Event | Malformed]:
        """Return the events; a request knows how far lead.changes went when it came."""
        events = [event for record in records if (event := decode(record)) is not None]
        if any(isinstance(event, Event) and isinstance(event.data, requests) for event in events):
            end = await self._log.changes_end()
            events = [replace(event, changes_end=end) if isinstance(event, Event) else event for event in events]
        return events

    async def _wait(self, wait_ms: int | None) -> None:
        try:
            async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                await self._arrived.wait()
        except TimeoutError:
            pass


def one_by_one(inputs: Sequence[Input]) -> Sequence[Sequence[Input]]:
    """Return the same inputs, each in a turn of its own, with its own position."""
    apart: list[list[Input]] = []
    for one in inputs:
        if isinstance(one, Event | Malformed):
            apart.append([one, InputPosition(one.record.topic, one.record.offset + 1)])
        else:
            apart.append([one])
    return apart
