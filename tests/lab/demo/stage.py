"""The processes of the demo: each on a leash, so that none outlives it, even when it is killed."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

import processor
from tests.lab.demo.spent import Arrival
from tests.lab.demo.truth import Payload
from tests.lab.demo.world import World, lines
from tests.lab.kafka_node import leash
from tests.lab.kafka_node.kraft import free_ports

manner: Final[Mapping[str, float]] = {"latency-ms": 50, "jitter-ms": 20, "index-lag-s": 10}
"""Of the simulator. The lag is shorter than the 15 s after which a young lead is looked for again."""
ready_within_s: Final = 60.0
look_every_s: Final = 0.2
answer_within_s: Final = 10.0
ours: Final = (
    "KAFKA_",
    "GHL_",
    "HYDRANT_",
    "SYNC_ALL_",
)  # settings of whoever starts the demo aren't meant for its workers

opener: Final = build_opener(ProxyHandler({}))  # all that is asked is on this machine


class StageFailed(Exception):
    """A process of the demo ended, or didn't get ready. The message says which, with the last lines of its log."""


class Child:
    """A Python process in a folder of its own, which holds its log and goes with it."""

    def __init__(self, name: str, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._killed = False
        self.folder = Path(tempfile.mkdtemp(prefix=f"hydrant-demo-{name.replace(' ', '-')}-"))
        self._log = self.folder / "log"
        with self._log.open("wb") as log:
            self._leash = subprocess.Popen(
                [sys.executable, "-I", "-S", leash.__file__, str(self.folder), str(os.getpid()), "remove"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**surroundings(), **(environ or {})},
                start_new_session=True,  # Ctrl-C is the demo's to handle
            )

    def run(self, *arguments: str) -> None:
        """In its folder; once more, if the last one has ended."""
        self._killed = False
        self.ask(f"run {json.dumps([sys.executable, *arguments])}")

    def put(self, name: str, content: Iterable[bytes]) -> None:
        """A file of its folder."""
        with (self.folder / name).open("wb") as file:
            file.writelines(content)

    def kill(self) -> None:
        """By SIGKILL, which leaves it no time for anything. Raises StageFailed where there is nothing to kill any more."""
        if self.ended:
            raise self.failed("has ended")
        self._killed = True
        self.ask(f"end {signal.SIGKILL:d}")

    @property
    def ended(self) -> bool:
        """By itself, or because of somebody else."""
        return not self._killed and not self.ask("state").startswith("running")

    @property
    def log(self) -> list[str]:
        return [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]

    def ask(self, question: str) -> str:
        """Of the leash: how the child stands. `end 15` asks it to stop and waits until it has."""
        assert self._leash.stdin
        assert self._leash.stdout
        try:
            self._leash.stdin.write(f"{question}\n".encode())
            self._leash.stdin.flush()
            return self._leash.stdout.readline().decode().strip()
        except (BrokenPipeError, ValueError):
            return ""

    def close(self) -> None:
        """For good, and its folder with it."""
        self.ask("end 15")
        self._leash.communicate()

    def failed(self, what: str) -> StageFailed:
        return StageFailed("\n".join([f"{self.name} {what}; the last lines of its log:", *self.log[-20:]]))


class HighLevel(Child):
    """The simulator, as strict as HighLevel may be: `python -m processor.sandbox`. Each location has a token of its own."""

    def __init__(self, truth: World) -> None:
        super().__init__("simulator")
        self.tokens = {location: f"token-of-{location}" for location in truth.locations}
        self.url = ""
        self._raw_names = truth.locations
        self.put("world.jsonl", lines(truth))
        options = [f"--{name}={value:g}" for name, value in manner.items()]
        options += [f"--token={location}={token}" for location, token in self.tokens.items()]
        self.run("-m", "processor.sandbox", "--world=world.jsonl", *options)

    async def ready(self) -> None:
        deadline = time.monotonic() + ready_within_s
        while not (told := [line for line in self.log if line.startswith("{")]):
            if self.ended or time.monotonic() > deadline:
                raise self.failed("didn't start")
            await asyncio.sleep(look_every_s)
        self.url = json.loads(told[0])["url"]
        for location, shown in self._raw_names.items():
            await asyncio.to_thread(
                ask, f"{self.url}/_sandbox/settings", "PUT", {"location": location, "raw_names": shown}
            )

    async def report(self) -> Any:
        """Arrivals, worst window and the like, in all and by location: JSON."""
        return await asyncio.to_thread(ask, f"{self.url}/_sandbox/report")

    async def arrivals(self, location: str) -> list[Arrival]:
        """Each call of a location; of "": calls that told none."""
        told = await asyncio.to_thread(ask, f"{self.url}/_sandbox/log?location={location}")
        return [Arrival(*arrival) for arrival in told["arrivals"]]

    async def add(self, contacts: Iterable[tuple[str, Payload]]) -> None:
        added = [{"location_id": location, "contact": contact} for location, contact in contacts]
        await asyncio.to_thread(ask, f"{self.url}/_sandbox/contacts", "POST", added)


class Worker(Child):
    """`hydrant run`, told everything by its environment. It logs warnings and errors only."""

    def __init__(self, name: str, environ: Mapping[str, str], highlevel: HighLevel) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        own = {
            "GHL_BASE_URL": highlevel.url,
            "GHL_TOKENS_FILE": "tokens.toml",
            "HYDRANT_STATE_DIR": "state",
            "HYDRANT_HTTP_PORT": str(port),
            "HYDRANT_LOG_LEVEL": "warning",
            "HYDRANT_LOG_FORMAT": "json",
        }
        super().__init__(name, {**environ, **own})
        self.put("tokens.toml", (f'"{place}" = "{token}"\n'.encode() for place, token in highlevel.tokens.items()))
        self.start()

    def start(self) -> None:
        """Also anew: on the same port, with the folder that its predecessor left."""
        self.run("-m", "processor.cli", "run")

    def owned(self) -> int:
        """Partitions that it owns, once it has joined the group. Raises StageFailed when it has ended."""
        return self._sum("hydrant_owned_partitions")

    def heard(self) -> int:
        """Events so far. Raises StageFailed when it has ended."""
        return self._sum("hydrant_events_total")

    def _sum(self, metric: str) -> int:
        try:
            ask(f"{self.url}/readyz")
            with opener.open(f"{self.url}/metrics", timeout=answer_within_s) as response:
                metrics = response.read().decode()
        except OSError:
            if self.ended:
                raise self.failed("has ended") from None
            return 0
        samples = [line for line in metrics.splitlines() if re.match(rf"{metric}[ {{]", line)]
        return int(sum(float(line.rpartition(" ")[2]) for line in samples))


async def share(workers: Sequence[Worker], partitions: int) -> list[int]:
    """Wait until each has some of the partitions, and all are somebody's. How many each has."""
    deadline = time.monotonic() + ready_within_s
    while True:
        owned = [await asyncio.to_thread(worker.owned) for worker in workers]
        if all(owned) and sum(owned) == partitions:
            return owned
        if time.monotonic() > deadline:
            raise workers[owned.index(min(owned))].failed(f"isn't ready after {ready_within_s:.0f} s")
        await asyncio.sleep(look_every_s)


def end(children: Iterable[Child]) -> None:
    """All at once: a worker may take seconds to drain."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Child.close, children))


def surroundings() -> dict[str, str]:
    """The environment of a child: this code is found, wherever it lies, and no setting of ours leaks in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    here = str(Path(processor.__file__).resolve().parent.parent)
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH"))))}


def ask(url: str, method: str = "GET", body: object = None) -> Any:
    """JSON of a process of ours."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"content-type": "application/json"}, method=method)
    with opener.open(request, timeout=answer_within_s) as response:
        return json.load(response)
