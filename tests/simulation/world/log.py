"""One worker's side of a partition's log: the `Log` port of the runner, on the broker of `broker.py`.

A session of a dead process does nothing any more. Its last request arrives or not, as the kill decides.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, TypeVar

from processor.engine.ports import Broken, Fenced, Restored
from processor.events.cloudevents import Record
from processor.shard.store import OutRecord
from processor.topics import INPUT_TOPICS
from tests.lab.workload.times import start_ms
from tests.simulation.world.broker import Entry, Kafka, alive, ask
from tests.simulation.world.loop import Process, set_error, set_result

BrokerResponse = TypeVar("BrokerResponse")
changelog: Final = "processor.changelog"
sooner_first: Final = ("sync.requests", *(topic for topic in INPUT_TOPICS if topic != "sync.requests"))
slice_rows: Final = 100  # of a restore: small, so that it can be interrupted
give_up_ms: Final = 5_000  # how long a session waits for a commit whose response never comes
open_within_s: Final = 30.0  # as the real one: its bounds with the broker gone
commit_within_s: Final = 20.0
abort_within_s: Final = 3.0
ask_within_s: Final = 10.0
silent_after_s: Final = 20.0
close_within_ms: Final = 2_000
undecided_ms: Final = 50  # restoring asks again so often for rows of an open transaction


class Session:
    """One opening of one partition's log by one process."""

    def __init__(self, kafka: Kafka, process: Process, partition: int) -> None:
        self.kafka, self.process, self.partition = kafka, process, partition
        self.transactional_id = f"processor.{partition}"
        self.identity = ""
        self.epoch = 0
        self.at: dict[str, int] = {}  # the consumer's position by topic
        self.fetched: dict[str, int] = {}  # how far its records have come over
        self.poller: asyncio.Future[None] | None = None

    async def open(self) -> None:
        if not self.kafka.reached_by(self.process) and self.kafka.random.random() < 0.5:
            await self._wait(100)
            raise Broken("open: refused")  # there is a machine, but no broker on it
        initialise = self.kafka.initialise
        who = self.transactional_id, self.partition, self.process.name
        self.epoch = await self._ask(lambda: initialise(*who), open_within_s)
        self.identity = "simulated processor.changelog"
        self.kafka.trace.add(self.process.name, f"initialised its producer of {self.partition}", epoch=self.epoch)

    async def changelog(self) -> tuple[int, int]:
        return 0, await self._ask(lambda: len(self.kafka.log(changelog, self.partition)), open_within_s)

    def restore(self, start: int, end: int) -> AsyncIterator[Restored]:
        return Restoring(self, start, end)

    async def assign(self, positions: Mapping[str, int]) -> Mapping[str, str]:
        def arrive() -> dict[str, str]:
            ends = {topic: self.kafka.stable_end(topic, self.partition) for topic in INPUT_TOPICS}
            lost = {
                topic: "out of range"
                for topic, at in positions.items()
                if at > len(self.kafka.log(topic, self.partition))
            }
            self.at = {topic: 0 if topic in lost else positions.get(topic, 0) for topic in INPUT_TOPICS}
            self.fetched = ends
            self.kafka.readers.append(self)
            return lost

        return await self._ask(arrive, open_within_s)

    async def poll(self, limit: int) -> Sequence[Record]:
        """Returns without a record when a position passed markers only, as the real one does."""
        while True:
            await asyncio.sleep(0)
            alive(self.process)
            before = dict(self.at)
            records = self._take(limit)
            if self.at != before:
                return records
            self.poller = self.kafka.loop.create_future()
            await self.poller

    def positions(self) -> Mapping[str, int]:
        return dict(self.at)

    async def changes_end(self) -> int:
        return await self._ask(lambda: self.kafka.stable_end("lead.changes", self.partition), ask_within_s)

    async def commit(self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        """Commit by two requests, as in Kafka.

        The first sends the records, still invisible. The second ends the transaction, which decides all of them at once.
        """
        ending = False
        try:
            async with asyncio.timeout(commit_within_s):
                kept = self._kept(records)
                position = await ask(self.kafka, self.process, lambda: self._produce(kept, rows))
                if kept is not records:
                    await self._batch_failed()
                ending = True
                return await self._decide(kept, rows, position)
        except TimeoutError:
            if not ending:
                await self._abort()
            raise Broken(f"commit: TimeoutError{', its outcome is unknown' if ending else ''}") from None

    async def close(self) -> None:
        if self in self.kafka.readers:
            self.kafka.readers.remove(self)
        if not self.process.dead:
            await self._wait(1 if self.kafka.reached_by(self.process) else close_within_ms)

    def fetch(self, topic: str) -> None:
        """Let records come over, and wake the poller."""
        if self.kafka.reached_by(self.process):
            self.fetched[topic] = self.kafka.stable_end(topic, self.partition)
            if self.poller:
                set_result(self.poller, None)

    def reads(self, topic: str) -> bool:
        return topic in self.at

    def silent(self) -> None:
        """No answer to a fetch for so long that the broker must be gone."""
        if self.poller:
            set_error(self.poller, Broken("no answer to a fetch"))

    def _take(self, limit: int) -> list[Record]:
        taken: list[Record] = []
        for topic in sooner_first:
            log = self.kafka.log(topic, self.partition)
            while self.at[topic] < self.fetched[topic] and len(taken) < limit:
                offset, entry = self.at[topic], log[self.at[topic]]
                self.at[topic] += 1
                if entry.visible:
                    where = (topic, self.partition, offset)
                    taken.append(Record(*where, entry.timestamp_ms, entry.key, entry.value, entry.headers))
        return taken

    async def _decide(
        self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]], position: int
    ) -> int | None:
        kafka, faults = self.kafka, self.kafka.faults
        troubled = kafka.loop.ms < start_ms + faults.until
        answered = not troubled or kafka.random.random() >= faults.unknown_outcome
        if answered or kafka.random.random() < 0.5:
            await ask(kafka, self.process, lambda: self._end(records, rows), decides=True)
        if not answered:
            kafka.trace.add(self.process.name, "never hears whether its transaction was committed")
            await self._wait(give_up_ms)
            raise Broken("commit: its outcome is unknown")
        return None if not rows or (troubled and kafka.random.random() < faults.unknown_position) else position

    async def _abort(self) -> None:
        def arrive() -> None:
            self._owned()
            if transaction := self.kafka.open.get(self.transactional_id):
                self.kafka.end(transaction, "aborted")

        try:
            async with asyncio.timeout(abort_within_s):
                await ask(self.kafka, self.process, arrive)
        except (TimeoutError, Fenced):
            pass

    def _kept(self, records: Sequence[OutRecord]) -> Sequence[OutRecord]:
        """All of them, unless the batch of one topic is refused."""
        kafka, faults = self.kafka, self.kafka.faults
        troubled = faults.refused and kafka.loop.ms < start_ms + faults.until
        if not records or not troubled or kafka.random.random() >= faults.refused:
            return records
        kafka.trace.add(self.process.name, "has a batch refused", topic=records[0].topic)
        return [out for out in records if out.topic != records[0].topic]

    async def _batch_failed(self) -> None:
        await self._abort()
        raise Broken("a batch failed")

    def _produce(self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> int:
        self._owned()
        kafka = self.kafka
        transaction = kafka.begin(self.transactional_id)
        for out in records:
            partition = self.partition if out.partition is None else out.partition
            time = kafka.loop.ms if out.timestamp_ms is None else out.timestamp_ms
            kafka.append(out.topic, partition, Entry(out.key, out.value, tuple(out.headers), time, transaction))
        for key, value in rows:
            kafka.append(changelog, self.partition, Entry(key.encode(), value, (), kafka.loop.ms, transaction))
        return len(kafka.log(changelog, self.partition))

    def _end(self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> None:
        self._owned()
        self.kafka.end(self.kafka.open[self.transactional_id], "committed")
        self.kafka.trace.add(self.process.name, f"commits in {self.partition}", records=records, rows=rows)

    def _owned(self) -> None:
        if self.kafka.epochs.get(self.transactional_id) != self.epoch:
            raise Fenced("a later epoch")

    async def _ask(self, arrive: Callable[[], BrokerResponse], within_s: float) -> BrokerResponse:
        try:
            async with asyncio.timeout(within_s):
                return await ask(self.kafka, self.process, arrive)
        except TimeoutError:
            raise Broken("the broker is gone") from None

    async def _wait(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)
        alive(self.process)


class Restoring:
    """The committed changelog rows of [start, end), a slice at a time.

    This is no generator: the garbage collector would close an abandoned one at any time.
    """

    def __init__(self, session: Session, start: int, end: int) -> None:
        self.session, self.position, self.end = session, start, end

    def __aiter__(self) -> AsyncIterator[Restored]:
        return self

    async def __anext__(self) -> Restored:
        if self.position >= self.end:
            raise StopAsyncIteration
        while (found := await self.session._ask(self._slice, silent_after_s)) is None:
            await self.session._wait(undecided_ms)
        return found

    def _slice(self) -> Restored | None:
        """Return the next rows, or None where the next one belongs to an open transaction."""
        kafka, partition = self.session.kafka, self.session.partition
        log, decided = kafka.log(changelog, partition), kafka.stable_end(changelog, partition)
        if decided <= self.position:
            return None
        start, self.position = self.position, min(self.end, self.position + slice_rows, decided)
        rows = [((entry.key or b"").decode(), entry.value) for entry in log[start : self.position] if entry.visible]
        return Restored(rows, self.position, self.end)
