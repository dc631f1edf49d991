"""Run the demo on a broker: start everything, publish at an even pace, kill a worker halfway, wait, and judge."""

import asyncio
import signal
import time
from pathlib import Path
from secrets import token_hex
from typing import Final

from processor.kafka import Publisher, Tail
from processor.topics import DEFAULT_PARTITIONS, home
from tests.lab.demo.progress import Progress
from tests.lab.demo.verdict import judge
from tests.lab.demo.view import View
from tests.lab.harness.deployment import Deployment, output_topics
from tests.lab.harness.process import held_folder
from tests.lab.harness.rows import contact_row, out_of, world_rows
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess
from tests.lab.kafka_node import Broker
from tests.lab.workload.large import Size, large

latency_ms: Final = 50
sandbox_options: Final = ("--jitter-ms", "20", "--index-lag-s", "10")  # young leads are looked up again after 15 s
over_after_s: Final = 165.0  # what is left of 3 minutes is for the verdict
quiet_s: Final = 3.0  # after all has come, so that superfluous records show
dead_for_s: Final = 1.0
load_at_once: Final = 500
publish_every_s: Final = 0.05
show_every_s: Final = 0.25
report_every_s: Final = 1.0
complaints_shown: Final = 5  # lines of a worker's log


async def run_demo(view: View, broker: Broker, size: Size, keep: bool) -> bool:
    """Return True if everything came out right."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with held_folder("hydrant-demo-") as folder:
        demo = Demo(view, broker, size, folder)
        try:
            return await demo.run(keep)
        finally:
            await asyncio.to_thread(demo.deployment.close)
            if broker.origin == "environment":  # others use it, too
                await demo.deployment.delete_topics()


class Demo:
    def __init__(self, view: View, broker: Broker, size: Size, folder: Path) -> None:
        self.view = view
        self.deployment = Deployment(broker.bootstrap, f"demo-{token_hex(3)}.", folder, DEFAULT_PARTITIONS)
        self.tokens = folder / "tokens.toml"  # a call for a contact that is gone is attributed by its token
        self.workload = large(size)
        self.progress = Progress(self.workload, time.monotonic())
        self.workers: list[WorkerProcess] = []  # those that should run
        self.sandbox: SandboxProcess

    async def run(self, keep: bool) -> bool:
        since = time.monotonic()
        await self.deployment.create_topics()
        self.view.phase(since, f"topics {self.deployment.prefix}… are made, of {DEFAULT_PARTITIONS} partitions each")
        await self._start()
        async with (
            Publisher(self.deployment.config) as self.upstream,
            Tail(self.deployment.config, output_topics, start="start") as tail,
        ):
            await self._load()
            complete = await self._perform(tail)
        self.view.print("Reading all topics and checking them…", "dim")
        verdict = await judge(self.deployment, self.progress, self.began_ms, complete)
        self.view.show_verdict(self.progress, verdict)
        if not verdict.passed:
            self._show_complaints()
        if keep:
            await self._linger()
        return verdict.passed

    async def _start(self) -> None:
        since = time.monotonic()
        tokens = {location: f"token-of-{location}" for location in {lead.location for lead in self.workload.leads}}
        self.tokens.write_text("".join(f'"{location}" = "{token}"\n' for location, token in tokens.items()))
        options = [*sandbox_options, *(f"--token={location}={token}" for location, token in tokens.items())]
        rows = world_rows(self.workload)
        self.sandbox = await asyncio.to_thread(self.deployment.start_sandbox, rows, latency_ms, options)
        for location in tokens.keys() - self.workload.raw_names:
            await asyncio.to_thread(self.sandbox.change_settings, location=location, raw_names=False)
        contacts = f"{len(self.workload.contacts):,} contacts, {len(self.workload.messages):,} messages"
        self.view.phase(since, f"HighLevel's simulator is up at {self.sandbox.url}, with {contacts}")
        self.view.note("it allows a location 100 calls in any 10 s, and takes 50 to 70 ms for a call")
        since = time.monotonic()
        self.workers = [self._start_worker(f"worker {number}") for number in (1, 2)]
        await self.deployment.wait_until_shared(*self.workers)
        self.view.phase(since, f"2 workers are ready and share the partitions, {self._shares()}")

    def _start_worker(self, name: str) -> WorkerProcess:
        return self.deployment.start_worker(name, self.sandbox, GHL_TOKEN="", GHL_TOKENS_FILE=self.tokens)

    def _shares(self) -> str:
        return " and ".join(str(len(worker.owned)) for worker in self.workers)

    async def _load(self) -> None:
        """Publish the leads of the Sync All, and wait until the workers have ingested them."""
        since = time.monotonic()
        leads = [lead for lead in self.workload.leads if lead.truth.job]
        self.loaded = {one.event for lead in leads for one in lead.publications}
        records = [out_of(self.workload, one) for lead in leads for one in lead.publications]
        for first in range(0, len(records), load_at_once):
            await self.upstream.publish(records[first : first + load_at_once])
        self.progress.published = len(records)
        while await self._ingested() < len(records):  # noqa: ASYNC110  # a count of other processes
            await asyncio.sleep(show_every_s)
        if leads:
            self.view.phase(since, f"{len(leads):,} leads of {leads[0].location} are loaded")

    async def _ingested(self) -> int:
        return sum([(await asyncio.to_thread(worker.counts)).events for worker in self.workers])

    async def _perform(self, tail: Tail) -> bool:
        """Publish, kill a worker and follow the outputs. Return True if all that must come came in time."""
        self.progress.since = time.monotonic()
        self.began_ms = time.time_ns() // 1_000_000
        tasks = {
            name: asyncio.create_task(work, name=name)
            for name, work in (
                ("publish", self._publish()),
                ("kill", self._kill_one()),
                ("read", self._read(tail)),
                ("report", self._report()),
            )
        }
        try:
            return await self._watch(tasks)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _watch(self, tasks: "dict[str, asyncio.Task[None]]") -> bool:
        progress, complete_since = self.progress, float("inf")
        with self.view.running() as show:
            while (now := time.monotonic()) < progress.since + over_after_s:
                for task in tasks.values():
                    if task.done():
                        task.result()  # raises what went wrong
                if not tasks["publish"].done():
                    progress.phase = "publishing"
                elif progress.left:
                    young = ": new leads, looked up again after a minute" if progress.left_is_young else ""
                    progress.phase = f"{progress.left:,} still to come{young}"
                elif progress.busy:
                    progress.phase = f"all has come but the last status of {len(progress.busy)} locations"
                elif not tasks["kill"].done():
                    progress.phase = "all has come but the new worker"
                else:
                    progress.phase = "all has come; waiting for superfluous records"
                    complete_since = min(complete_since, now)
                    if now > complete_since + quiet_s:
                        return True
                show(progress)
                await asyncio.sleep(show_every_s)
        return False

    async def _publish(self) -> None:
        """Publish each record when it is due, and add contacts that come into being."""
        every = [one for one in self.workload.publications if one.event not in self.loaded]
        publications = [one for one in every if one.transaction != "aborted"]
        late = sorted((one for one in self.workload.contacts.values() if one.since), key=lambda one: one.since)
        while publications:
            now = time.monotonic()
            ms = (now - self.progress.since) * 1_000
            due = [one for one in publications[:load_at_once] if one.at <= ms]
            publications = publications[len(due) :]
            if added := [contact for contact in late if contact.since <= ms]:
                late = late[len(added) :]
                rows = [(contact.location, contact_row(contact)) for contact in added]
                await asyncio.to_thread(self.sandbox.add_contacts, rows)
            await self.upstream.publish([out_of(self.workload, one) for one in due])
            for one in due:
                self.progress.add_publication(one, now)
            await asyncio.sleep(publish_every_s)

    async def _kill_one(self) -> None:
        """Kill the worker of the Sync All once half of the leads have results, and start another one in its place."""
        progress = self.progress
        while 2 * len(progress.leads_left) > progress.leads_due:  # noqa: ASYNC110  # a plain value
            await asyncio.sleep(show_every_s)
        at = home(self.workload.jobs[0].location or "", DEFAULT_PARTITIONS) if self.workload.jobs else 0
        victim, other = sorted(self.workers, key=lambda worker: at not in worker.owned)
        owned = len(victim.owned)
        await asyncio.to_thread(victim.kill)
        progress.killed, progress.killed_at = victim.name, time.monotonic()
        self._announce(f"half the leads are done: {victim.name} is killed (-9), with {owned} partitions")
        await asyncio.sleep(dead_for_s)
        successor = self._start_worker(victim.name)
        self.workers = [successor if worker is victim else worker for worker in self.workers]
        self._announce(f"a new {victim.name} starts; Kafka must first miss the dead one")
        await self.deployment.wait_until_shared(successor, other)
        progress.replaced_at = time.monotonic()
        took_s = progress.replaced_at - progress.killed_at
        self._announce(f"the new {victim.name} took over: {self._shares()} partitions, {took_s:.1f} s after the kill")

    def _announce(self, text: str) -> None:
        self.view.print(f"{time.monotonic() - self.progress.since:6.1f} s  {text}", "yellow")

    async def _read(self, tail: Tail) -> None:
        async for record in tail:
            self.progress.add(record, time.monotonic())

    async def _report(self) -> None:
        while True:
            self.progress.report = await asyncio.to_thread(self.sandbox.report)
            await asyncio.sleep(report_every_s)

    def _show_complaints(self) -> None:
        for worker in self.deployment.workers:
            events = [one for one in worker.log_events() if one.get("level") != "info" and one.get("note") != "buried"]
            if events:
                self.view.print(f"\n{worker.name} logged {len(events)} warnings and errors, the last ones:", "yellow")
                for event in events[-complaints_shown:]:
                    self.view.note(str(event))

    async def _linger(self) -> None:
        """Show how to look around, and keep everything running until Ctrl-C."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        lead, config = self.workload.leads[0], self.deployment.config
        self.view.print("\nEverything keeps running until Ctrl-C. In another terminal:")
        self.view.print(f"  export KAFKA_BOOTSTRAP_SERVERS={config.bootstrap} KAFKA_TOPIC_PREFIX={config.prefix}")
        self.view.print("  hydrant status")
        self.view.print(f"  hydrant sync {lead.location} {lead.id}")
        for job in self.workload.jobs:
            self.view.print(f"  hydrant sync-all {job.location} --watch")
        self.view.print(f"  curl {self.sandbox.url}/_sandbox/report")
        for worker in self.workers:
            self.view.print(f"  curl {worker.url}/metrics  # of {worker.name}, which logs into {worker.log}")
        await stop.wait()
