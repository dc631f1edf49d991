"""Try Hydrant on a real Kafka with workers that can be hurt and a HighLevel that misbehaves.

Publish `canaries`, wait for what must come, and let `flaws` judge. It looks at the output topics and at HighLevel's own record
alone, never at what workers report of themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processor.events.cloudevents import Record
from processor.kafka import Tail
from tests.integration.canaries import Lead
from tests.integration.judge import data, leaked, repeated, unanswered, wrong
from tests.lab.harness.calls import budget_flaws, summarize_calls
from tests.lab.harness.deployment import Deployment, output_topics
from tests.lab.harness.process import wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess


@dataclass
class Trial(Deployment):
    outputs: list[Record] = field(default_factory=list)  # of the output topics, by now

    def start_highlevel(self, leads: Iterable[Lead], latency_ms: float = 50) -> SandboxProcess:
        """Start a HighLevel that has the contacts of these leads."""
        return self.start_sandbox((lead.contact() for lead in leads), latency_ms)

    def start_worker(self, name: str, sandbox: SandboxProcess, **settings: object) -> WorkerProcess:
        """Start a worker that logs everything and asks about one lead a call, unless `settings` say otherwise."""
        defaults = {"HYDRANT_PROBE_SIZE": 1, "HYDRANT_LOG_LEVEL": "debug"}
        return super().start_worker(name, sandbox, **defaults | settings)

    async def wait_for_leads(
        self, leads: Collection[Lead], requests: Collection[str] = (), within_s: float = 90
    ) -> None:
        """Wait until each lead has a result, and each request its answer."""
        wanted, requested = {lead.id for lead in leads}, set(requests)

        def complete() -> bool:
            found = {result["lead_id"] for result in self.results}
            return wanted <= found and requested <= {answer["request_id"] for answer in self.answers}

        await wait_until(
            complete, within_s, lambda: f"{len(self.results)} results of {len(wanted)} leads, {self.last_lines}"
        )

    async def wait_for_results(self, count: int, within_s: float = 60) -> None:
        """Wait until there are so many, for a moment amidst the work."""
        await wait_until(
            lambda: len(self.results) >= count, within_s, lambda: f"{len(self.results)}, {self.last_lines}"
        )

    @property
    def results(self) -> list[dict[str, Any]]:
        """Return the data of each `lead.synced` by now; within a lead in order."""
        return data(self.outputs, "lead.updates", "lead.synced")

    @property
    def answers(self) -> list[dict[str, Any]]:
        return data(self.outputs, "sync.progress", "sync.answered")

    async def flaws(self, leads: Collection[Lead], requests: Collection[str] = ()) -> list[str]:
        """End the workers and return what went wrong. These leads must be found and filled, these requests answered once."""
        return self.flaws_in(await self.end_workers(), leads, requests)

    def flaws_in(
        self, records: Sequence[Record], leads: Collection[Lead] = (), requests: Collection[str] = ()
    ) -> list[str]:
        found = [*wrong(leads, records), *repeated(records), *unanswered(requests, records)]
        for sandbox in self.sandboxes:
            arrivals = sandbox.arrivals_by_location()
            found += budget_flaws(summarize_calls(arrivals), len(arrivals.get("", ())))
        return [*found, *leaked(records, {worker.name: worker.everything_written for worker in self.workers})]


@asynccontextmanager
async def trial(bootstrap: str, prefix: str, folder: Path, partitions: int = 4) -> AsyncIterator[Trial]:
    """Make new topics and read all outputs. At the end of the block every process that was started is ended."""
    running = Trial(bootstrap, prefix, folder, partitions)
    await running.create_topics()
    reading = asyncio.create_task(_read_outputs(running), name="read outputs")
    try:
        yield running
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        await asyncio.to_thread(running.close)


async def _read_outputs(running: Trial) -> None:
    async with Tail(running.config, output_topics, start="start") as tail:
        async for record in tail:
            running.outputs.append(record)
