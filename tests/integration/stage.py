"""A stage for tests of faults: topics of its own on a shared Kafka, a HighLevel, and workers that can be hurt.

Publish `canaries`, wait with `answered` or `shared`, and let `flaws` judge: by the output topics and HighLevel's own record
alone, never by what workers say of themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig, Publisher, Tail, create_topics
from processor.shard.store import OutRecord
from processor.topics import TOPICS, prefixed
from tests.integration.canaries import Lead
from tests.integration.judge import data, leaked, repeated, unanswered, wrong
from tests.integration.processes import HighLevel, Worker, look_every_s, until
from tests.lab.demo.spent import over_budget, spent

__all__ = ["HighLevel", "Stage", "Worker", "stage", "until"]

outputs: Final = tuple(topic.name for topic in TOPICS.values() if topic.role == "output")
settled_within_s: Final = 60


@dataclass
class Stage:
    config: KafkaConfig
    partitions: int
    folder: Path
    heard: list[Record] = field(default_factory=list)  # of the output topics, by now
    workers: list[Worker] = field(default_factory=list)
    highlevels: list[HighLevel] = field(default_factory=list)

    def highlevel(self, known: Iterable[Lead], latency_ms: float = 50) -> HighLevel:
        """Start one that knows these people."""
        world = self.folder / f"world-{len(self.highlevels)}.jsonl"
        world.write_bytes(b"".join(orjson.dumps(one.contact(), option=orjson.OPT_APPEND_NEWLINE) for one in known))
        arguments = ["--world", str(world), "--latency-ms", str(latency_ms)]
        self.highlevels.append(HighLevel(arguments, world.with_suffix(".log")))
        return self.highlevels[-1]

    def worker(self, name: str, highlevel: HighLevel, **settings: object) -> Worker:
        """Start one. Those of one name share a state folder."""
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": self.config.bootstrap,
            "KAFKA_TOPIC_PREFIX": self.config.prefix,
            "KAFKA_GROUP_ID": self.config.group_id,
            "GHL_BASE_URL": highlevel.url,
            "GHL_TOKEN": "sandbox",
            "HYDRANT_PROBE_SIZE": "1",
            "HYDRANT_STATE_DIR": str(self.state(name)),
            "HYDRANT_LOG_FORMAT": "json",
            "HYDRANT_LOG_LEVEL": "debug",
            **{variable: str(value) for variable, value in settings.items()},
        }
        log = self.folder / f"{name}-{len(self.workers)}.log"
        self.workers.append(Worker(name, log, environ))
        return self.workers[-1]

    def state(self, name: str) -> Path:
        return self.folder / f"state-of-{name}"

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Each to the partition it names, else to its key's home."""
        async with Publisher(self.config) as publisher:
            await publisher.publish(records)

    async def shared(self, *workers: Worker, within_s: float = 60) -> None:
        """Wait until these have all partitions among them, each its own and none without, and all are open."""

        def are() -> bool:
            owned = [worker.owned for worker in workers]
            apart = sum(map(len, owned)) == self.partitions == len(frozenset().union(*owned))
            return apart and all(owned) and all(worker.open == worker.owned for worker in workers)

        await until(are, within_s, lambda: f"owned {[(one.name, one.owned, one.open) for one in workers]}")

    async def answered(self, known: Collection[Lead], requests: Collection[str] = (), within_s: float = 90) -> None:
        """Wait until each lead has a result, and each request its answer."""
        leads_, asked = {one.id for one in known}, set(requests)

        def are() -> bool:
            return leads_ <= {one["lead_id"] for one in self.results} and asked <= {
                one["request_id"] for one in self.answers
            }

        await until(are, within_s, lambda: f"{len(self.results)} results of {len(leads_)} leads, {self.last_words}")

    async def results_are(self, number: int, within_s: float = 60) -> None:
        """Wait until there are so many; for moments in mid-work."""
        await until(lambda: len(self.results) >= number, within_s, lambda: f"{len(self.results)}, {self.last_words}")

    @property
    def results(self) -> list[dict[str, Any]]:
        """Data of each `lead.synced`, by now; within a lead in order."""
        return data(self.heard, "lead.updates", "lead.synced")

    @property
    def answers(self) -> list[dict[str, Any]]:
        return data(self.heard, "sync.progress", "sync.answered")

    @property
    def last_words(self) -> list[tuple[str, str]]:
        return [(one.name, one.last_words()) for one in self.workers]

    async def told(self) -> list[Record]:
        """All that there is on the output topics. Ends the workers: what they do last counts, too."""
        for worker in self.workers:
            await asyncio.to_thread(worker.end)
        await self._settled()
        async with Tail(self.config, outputs, start="start", follow=False) as tail:
            return [record async for record in tail]

    async def flaws(self, known: Collection[Lead], requests: Collection[str] = ()) -> list[str]:
        """What went wrong, a line each. These leads must have been found and filled, these requests answered once.

        Ends the workers."""
        return self.judged(await self.told(), known, requests)

    def judged(self, told: Sequence[Record], known: Collection[Lead] = (), requests: Collection[str] = ()) -> list[str]:
        found = [*wrong(known, told), *repeated(told), *unanswered(requests, told)]
        for highlevel in self.highlevels:
            log = highlevel.log()
            found += over_budget(spent(log), len(log.get("", ())))
        return [*found, *leaked(told, {worker.name: worker.said for worker in self.workers})]

    async def _settled(self) -> None:
        """Until no transaction is open: Kafka answers a commit before it has written the markers that show it."""
        every = [
            TopicPartition(prefixed(self.config.prefix, topic), each)
            for topic in outputs
            for each in range(self.partitions)
        ]
        isolations = "read_committed", "read_uncommitted"
        stable, all_ = (
            AIOKafkaConsumer(bootstrap_servers=self.config.bootstrap, isolation_level=i) for i in isolations
        )
        await stable.start()
        await all_.start()
        try:
            async with asyncio.timeout(settled_within_s):
                while await stable.end_offsets(every) != await all_.end_offsets(every):  # noqa: ASYNC110
                    await asyncio.sleep(look_every_s)
        finally:
            await stable.stop()
            await all_.stop()


@asynccontextmanager
async def stage(bootstrap: str, prefix: str, folder: Path, partitions: int = 4) -> AsyncIterator[Stage]:
    """New topics, and everything that was started on it ended with it."""
    config = KafkaConfig(bootstrap, prefix=prefix, group_id=f"{prefix}hydrant")
    await create_topics(config, partitions, 1)
    made = Stage(config, partitions, folder)
    listening = asyncio.create_task(listen(made), name="listen")
    try:
        yield made
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        for process in (*made.workers, *made.highlevels):
            await asyncio.to_thread(process.end)


async def listen(here: Stage) -> None:
    async with Tail(here.config, outputs, start="start") as tail:
        async for record in tail:
            here.heard.append(record)
