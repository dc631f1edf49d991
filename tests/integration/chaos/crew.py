"""Run the workers of chaos, with their broker, network and HighLevel, and inject each event of a schedule."""

import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.integration.chaos import schedule
from tests.integration.chaos.load import where
from tests.integration.chaos.proxy import Proxy
from tests.integration.chaos.schedule import Event
from tests.integration.trial import Trial
from tests.lab.harness.process import ProcessFailed
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess
from tests.lab.kafka_node import Node

look_every_s: Final = 0.5
leaves_within_s: Final = 20  # SIGTERM: 10 s, and as much for a busy machine


@dataclass
class Crew:
    here: Trial
    highlevel: SandboxProcess
    broker: Node
    proxies: Mapping[str, Proxy]  # by worker
    say: Callable[[str], None]
    flaws: list[str] = field(default_factory=list)  # processes that ended, or didn't, against the schedule
    now: dict[str, WorkerProcess] = field(default_factory=dict)  # workers that should run
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def start(self, whom: str) -> None:
        name = {"KAFKA_GROUP_INSTANCE_ID": whom} if whom == schedule.named else {}
        self.now[whom] = self.here.start_worker(whom, self.highlevel, GHL_BASE_URL=self.proxies[whom].url, **name)

    async def keep(self) -> None:
        """Restart each worker that ends by itself, as an orchestrator does."""
        while True:
            await asyncio.sleep(look_every_s)
            for whom in [*self.now]:
                if not self._turns[whom].locked():
                    self._revive(whom)

    def _revive(self, whom: str) -> None:
        """Restart a worker that has ended. It may do so only if it found no Kafka when it started."""
        worker = self.now[whom]
        if worker.exit_code is not None:
            if "Kafka can't be reached" not in worker.last_lines():
                self.flaws.append(f"{whom} ended by itself, {worker.exit_code}: {worker.last_lines()}")
            self.start(whom)

    async def end(self) -> None:
        """End all workers that were ever started."""
        for worker in self.here.workers:
            try:
                await asyncio.to_thread(worker.close)
            except ProcessFailed as late:
                self.flaws.append(f"{worker.name}: {late}")

    async def inject(self, event: Event, begin: float) -> None:
        """Inject an event when it is due. `begin` is the start of the schedule, by the monotonic clock."""
        await asyncio.sleep(begin + event.at_s - time.monotonic())
        kind = "network" if event.kind in schedule.network else ""
        async with self._turns[kind + event.whom]:  # the event before may have taken longer than planned
            self.say(f"{time.monotonic() - begin:6.1f} s  {event.whom}: {event.kind} ({event.lasts_s} s)")
            if not kind and event.whom in self.now:
                self._revive(event.whom)
            await self._inject(event)

    async def _inject(self, event: Event) -> None:
        match event.kind:
            case "killed" | "killed, state lost":
                await self._kill(event.whom, forget=event.kind != "killed")
                await asyncio.sleep(event.lasts_s)
                self.start(event.whom)
            case "killed, its calls late":
                async with self._turns["network" + event.whom]:
                    self.proxies[event.whom].cut()
                    await asyncio.sleep(schedule.fills_s)
                    await self._kill(event.whom, forget=True)
                    self.start(event.whom)
                    await asyncio.sleep(event.lasts_s)
                    self.proxies[event.whom].heal(deliver=True)
            case "restarted":
                await self._leave(event.whom)
                await asyncio.sleep(event.lasts_s)
                self.start(event.whom)
            case "joins and leaves":
                self.start(event.whom)
                await asyncio.sleep(event.lasts_s)
                await self._leave(event.whom)
            case "stands still" | "stands still past its session":
                worker = self.now[event.whom]
                await asyncio.to_thread(worker.pause)
                await asyncio.sleep(event.lasts_s)
                worker.resume()
            case "broker killed":
                await asyncio.to_thread(self.broker.kill)
                await asyncio.sleep(event.lasts_s)
                await asyncio.to_thread(self.broker.start)
            case "cut" | "stalled":
                self.proxies[event.whom].cut()
                await asyncio.sleep(event.lasts_s)
                self.proxies[event.whom].heal(deliver=event.kind == "stalled")
            case fault:
                row = {**schedule.rows[fault], "location": where[event.whom]}
                number = await asyncio.to_thread(lambda: self.highlevel.add_fault(**row))
                await asyncio.sleep(event.lasts_s)
                await asyncio.to_thread(self.highlevel.clear_faults, number)

    async def _kill(self, whom: str, forget: bool) -> None:
        """Kill a worker; with `forget` its state is lost, too."""
        await asyncio.to_thread(self.now[whom].kill)
        if forget:
            shutil.rmtree(self.here.state_folder(whom), ignore_errors=True)

    async def _leave(self, whom: str) -> None:
        worker = self.now.pop(whom)
        await asyncio.to_thread(worker.terminate)
        try:
            await worker.wait_for_exit(leaves_within_s)
        except ProcessFailed as late:
            self.flaws.append(str(late))
            await asyncio.to_thread(worker.kill)
