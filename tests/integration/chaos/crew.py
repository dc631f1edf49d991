"""The workers, their broker, network and HighLevel, and how each event of a schedule befalls them."""

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
    flaws: list[str] = field(default_factory=list)  # processes that ended, or didn't, though they should (not) have
    now: dict[str, WorkerProcess] = field(default_factory=dict)  # who should run
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def start(self, whom: str) -> None:
        name = {"KAFKA_GROUP_INSTANCE_ID": whom} if whom == schedule.named else {}
        self.now[whom] = self.here.start_worker(whom, self.highlevel, GHL_BASE_URL=self.proxies[whom].url, **name)

    async def keep(self) -> None:
        """As an orchestrator does: whoever ends by itself is started again."""
        while True:
            await asyncio.sleep(look_every_s)
            for whom in [*self.now]:
                if not self._turns[whom].locked():
                    self._revive(whom)

    def _revive(self, whom: str) -> None:
        """It may have ended where it found no Kafka when it started."""
        worker = self.now[whom]
        if worker.exit_code is not None:
            if "Kafka can't be reached" not in worker.last_lines():
                self.flaws.append(f"{whom} ended by itself, {worker.exit_code}: {worker.last_lines()}")
            self.start(whom)

    async def end(self) -> None:
        """All that ever ran."""
        for worker in self.here.workers:
            try:
                await asyncio.to_thread(worker.close)
            except ProcessFailed as late:
                self.flaws.append(f"{worker.name}: {late}")

    async def befall(self, event: Event, begin: float) -> None:
        """`begin`: of the schedule, by the monotonic clock."""
        await asyncio.sleep(begin + event.at_s - time.monotonic())
        kind = "network" if event.kind in schedule.network else ""
        async with self._turns[kind + event.whom]:  # what came before may have taken longer than planned
            self.say(f"{time.monotonic() - begin:6.1f} s  {event.whom}: {event.kind} ({event.lasts_s} s)")
            if not kind and event.whom in self.now:
                self._revive(event.whom)
            await self._befall(event)

    async def _befall(self, event: Event) -> None:
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
            case ailment:
                row = {**schedule.rows[ailment], "location": where[event.whom]}
                number = await asyncio.to_thread(lambda: self.highlevel.add_fault(**row))
                await asyncio.sleep(event.lasts_s)
                await asyncio.to_thread(self.highlevel.clear_faults, number)

    async def _kill(self, whom: str, forget: bool) -> None:
        """`forget`: its state is lost, too."""
        await asyncio.to_thread(self.now[whom].kill)
        if forget:
            shutil.rmtree(self.here.state_folder(whom), ignore_errors=True)

    async def _leave(self, whom: str) -> None:
        worker = self.now.pop(whom)
        await asyncio.to_thread(worker.terminate)
        try:
            await worker.wait_for_exit(leaves_within_s)
        except AssertionError as late:
            self.flaws.append(str(late))
            await asyncio.to_thread(worker.kill)
