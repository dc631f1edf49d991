"""Set up what a bench needs: a real Kafka with topics of its own, the sandbox and the worker as processes of their own."""

import asyncio
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from processor.events.cloudevents import Record
from processor.topics import DEFAULT_PARTITIONS, home
from tests.bench.leads import Json, Published
from tests.bench.upstream import Upstream
from tests.lab.harness.deployment import Deployment
from tests.lab.harness.process import ProcessFailed, held_folder
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess, run_worker
from tests.lab.kafka_node import kafka

partitions: Final = DEFAULT_PARTITIONS
ready_within_s: Final = 60.0


class BenchFailed(ProcessFailed):
    """Raised when a bench can't measure what it is for. The message has the reason."""


@dataclass
class Testbed(Deployment):
    """Hold a bench's processes. Each block ends what it started."""

    origin: str = ""  # of the Kafka
    leads: int | None = None  # of a job, where a bench has one; None: as many as that bench thinks fit

    @contextmanager
    def sandbox(
        self, world: Iterable[Json] = (), latency_ms: float = 0, options: Sequence[str] = ()
    ) -> Iterator[SandboxProcess]:
        with self.start_sandbox(world, latency_ms, options) as sandbox:
            yield sandbox

    @contextmanager
    def worker(
        self,
        sandbox: SandboxProcess,
        profile: Path | None = None,
        name: str = "worker",
        opens: int = partitions,
        **settings: object,
    ) -> Iterator[WorkerProcess]:
        """Start a worker and yield it once it has opened so many partitions. Workers of one name share their state."""
        program = ("-m", "tests.bench.profiled", str(profile)) if profile else run_worker
        with self.start_program(program, name, sandbox, settings) as worker:
            worker.wait_for_counts(lambda counts: counts.opened >= opens, ready_within_s, f"{opens} partitions open")
            yield worker

    def publish_changes(self, changes: Iterable[Published], locations: Sequence[str]) -> int:
        """Publish all of them on `lead.changes` before this returns. Return how many."""

        async def flood() -> int:
            async with Upstream(self.config) as upstream:
                homes = {location: home(location, partitions) for location in locations}
                return await upstream.flood("lead.changes", changes, homes)

        return asyncio.run(flood())

    def records(self, topic: str) -> list[Record]:
        """Return the topic's records by now, as a `read_committed` reader sees them."""
        return asyncio.run(self.read(topic))

    def conditions(self) -> list[str]:
        """Describe the machine. A bench adds its own conditions."""
        busy = f"load {os.getloadavg()[0]:.1f} when it began"
        machine = f"{os.cpu_count()} cores shared with Kafka, sandbox and bench, {busy}"
        return [f"{machine}; Python {platform.python_version()}; Kafka: {self.origin}, {partitions} partitions"]


@contextmanager
def running_testbed(notify: Callable[[str], None], leads: int | None = None) -> Iterator[Testbed]:
    """Provide a Kafka of its own (or the one that KAFKA_BOOTSTRAP_SERVERS names), new topics and an empty folder."""
    with held_folder("hydrant-bench-") as folder, kafka(notify) as broker:
        testbed = Testbed(
            broker.bootstrap, f"bench-{uuid4().hex[:12]}.", folder, partitions, origin=broker.origin, leads=leads
        )
        asyncio.run(testbed.create_topics())
        yield testbed
