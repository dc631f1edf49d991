"""Run workers and simulated HighLevels on topics of their own, publish to them, and read what they published."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig, KafkaRefused, KafkaUnreachable, Publisher, Tail, admin_client, create_topics
from processor.shard.store import OutRecord
from processor.topics import TOPICS, prefixed
from tests.lab.harness.process import ChildProcess, look_every_s, wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess, run_worker

output_topics: Final = tuple(topic.name for topic in TOPICS.values() if topic.role == "output")
markers_within_s: Final = 60.0
shared_within_s: Final = 60.0


@dataclass
class Deployment:
    """Hold the processes on one prefix of topics. `create_topics` comes first, `close` last."""

    bootstrap: str
    prefix: str
    folder: Path  # of logs, state and the simulators' contacts
    partitions: int
    workers: list[WorkerProcess] = field(default_factory=list)  # all that were started
    sandboxes: list[SandboxProcess] = field(default_factory=list)

    @property
    def config(self) -> KafkaConfig:
        return KafkaConfig(self.bootstrap, prefix=self.prefix, group_id=f"{self.prefix}hydrant")

    async def create_topics(self) -> None:
        await create_topics(self.config, self.partitions)

    async def delete_topics(self) -> None:
        """Delete the topics with the prefix. A Kafka that is gone keeps them."""
        with suppress(KafkaUnreachable, KafkaRefused):
            async with admin_client(self.config) as admin:
                await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(self.prefix)])

    def start_sandbox(
        self, world: Iterable[Mapping[str, Any]] = (), latency_ms: float = 0, options: Sequence[str] = ()
    ) -> SandboxProcess:
        """Start a HighLevel that knows the contacts and messages of `world`, in rows as its option `--world` takes them."""
        rows = self.folder / f"world-{len(self.sandboxes)}.jsonl"
        with rows.open("wb") as lines:
            lines.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in world)
        arguments = ["--world", str(rows), "--latency-ms", str(latency_ms), *options]
        self.sandboxes.append(SandboxProcess(arguments, rows.with_suffix(".log")))
        return self.sandboxes[-1]

    def start_worker(self, name: str, sandbox: SandboxProcess, **settings: object) -> WorkerProcess:
        """Start a worker. Workers of one name share a state folder."""
        return self.start_program(run_worker, name, sandbox, settings)

    def start_program(
        self, program: Sequence[str], name: str, sandbox: SandboxProcess, settings: Mapping[str, object]
    ) -> WorkerProcess:
        """Start a program that is a worker, too."""
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_TOPIC_PREFIX": self.prefix,
            "KAFKA_GROUP_ID": self.config.group_id,
            "GHL_BASE_URL": sandbox.url,
            "GHL_TOKEN": "sandbox",
            "HYDRANT_STATE_DIR": str(self.state_folder(name)),
            "HYDRANT_LOG_FORMAT": "json",
            **{variable: str(value) for variable, value in settings.items()},
        }
        log = self.folder / f"{name.replace(' ', '-')}-{len(self.workers)}.log"
        self.workers.append(WorkerProcess(name, log, environ, program))
        return self.workers[-1]

    def state_folder(self, name: str) -> Path:
        return self.folder / f"state-of-{name.replace(' ', '-')}"

    async def wait_until_shared(self, *workers: WorkerProcess, within_s: float = shared_within_s) -> None:
        """Wait until each partition belongs to one of these workers, each worker has some, and all are open."""

        def shared() -> bool:
            for worker in workers:
                worker.check()
            owned = [worker.owned for worker in workers]
            apart = sum(map(len, owned)) == self.partitions == len(frozenset().union(*owned))
            return apart and all(owned) and all(worker.open == worker.owned for worker in workers)

        def describe() -> str:
            return f"owned, open: {[(worker.name, worker.owned, worker.open) for worker in workers]}"

        await wait_until(shared, within_s, describe)

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Publish each record to the partition it names, else to its key's home."""
        async with Publisher(self.config) as publisher:
            await publisher.publish(records)

    async def read(self, *topics: str) -> list[Record]:
        """Return what a `read_committed` reader of these topics sees by now, in each partition in order."""
        async with Tail(self.config, topics, start="start", follow=False) as tail:
            return [record async for record in tail]

    async def end_workers(self) -> list[Record]:
        """End all workers and return all output records. What the workers publish while they drain is among them."""
        for worker in self.workers:
            await asyncio.to_thread(worker.close)
        await self._wait_for_markers()
        return await self.read(*output_topics)

    @property
    def last_lines(self) -> list[tuple[str, str]]:
        return [(worker.name, worker.last_lines()) for worker in self.workers]

    def close(self) -> None:
        """End all processes at once: a worker may take seconds to drain. Raise ProcessFailed if one had to be killed."""
        children: list[ChildProcess] = [*self.workers, *self.sandboxes]
        with ThreadPoolExecutor(max(1, len(children))) as pool:
            for closed in [pool.submit(child.close) for child in children]:
                closed.result()

    async def _wait_for_markers(self) -> None:
        """Wait until no transaction is open. Kafka confirms a commit before it has written the markers that show it."""
        every = [
            TopicPartition(prefixed(self.prefix, topic), each)
            for topic in output_topics
            for each in range(self.partitions)
        ]
        stable, latest = (
            AIOKafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level=isolation)
            for isolation in ("read_committed", "read_uncommitted")
        )
        await stable.start()
        await latest.start()
        try:
            async with asyncio.timeout(markers_within_s):
                while await stable.end_offsets(every) != await latest.end_offsets(every):  # noqa: ASYNC110
                    await asyncio.sleep(look_every_s)
        finally:
            await stable.stop()
            await latest.stop()
