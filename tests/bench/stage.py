"""Where a bench plays: a real Kafka with topics of its own, the sandbox and the worker as processes of their own."""

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self
from uuid import uuid4

import orjson
from prometheus_client.parser import text_string_to_metric_families

from processor.events.cloudevents import Record
from processor.kafka import KafkaConfig, Tail, create_topics
from processor.topics import home
from tests.bench.leads import Json, Published
from tests.bench.upstream import Upstream
from tests.lab.kafka_node import kafka

root: Final = Path(__file__).parents[2]
partitions: Final = 12  # of every topic, DESIGN's default
ready_within_s: Final = 60.0
look_every_s: Final = 0.2
end_within_s: Final = 30.0
ours: Final = ("KAFKA_", "GHL_", "HYDRANT_", "SYNC_ALL_")  # settings that no worker may inherit
tick: Final = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A bench couldn't measure what it is for. The message says why."""


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB. RSS also counts what is shared with others; USS is the process's alone."""

    rss: float
    uss: float
    peak: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What the worker's own metrics say, and what it has cost up to then."""

    at: float  # monotonic s
    cpu_s: float
    heard: int  # events, their turn committed
    results: int
    rows: int  # of the changelog
    turns: int
    opened: int  # partitions


class Process:
    """A program of ours, ended with its block."""

    def __init__(self, arguments: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._log = log
        with log.open("wb") as errors:
            self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=root,
                env={**kept, **(environ or {})},
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> IO[bytes]:
        assert self._popen.stdout
        return self._popen.stdout

    def end(self) -> None:
        """By SIGTERM, as an orchestrator does."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(end_within_s)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
                raise Failed(f"it didn't end within {end_within_s:.0f} s of SIGTERM: {self.last_words()}") from None
        self.output.close()

    def kill(self) -> None:
        """As a crash does: nothing is said, nothing is put in order."""
        self._popen.kill()
        self._popen.wait()

    def check(self) -> None:
        if self._popen.poll() is not None:
            raise Failed(f"it ended by itself, exit {self._popen.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])

    def complaints(self) -> list[str]:
        """Warnings and errors in its log."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if '"level": "info"' not in line]

    def cpu_s(self) -> float:
        """Of all its threads, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / tick  # utime and stime are the 14th and 15th of all

    def memory(self) -> Memory:
        status, rollup = (kib(Path(f"/proc/{self.pid}/{name}").read_text()) for name in ("status", "smaps_rollup"))
        uss = rollup["Private_Clean"] + rollup["Private_Dirty"]
        return Memory(status["VmRSS"] / 1024, uss / 1024, status["VmHWM"] / 1024)


class Worker(Process):
    """`hydrant run`, or the same looked at while it runs."""

    def __init__(self, program: Sequence[str], log: Path, environ: Mapping[str, str], port: int) -> None:
        super().__init__(program, log, {**environ, "HYDRANT_HTTP_PORT": str(port)})
        self._url = f"http://127.0.0.1:{port}"

    def counted(self) -> Counted:
        """As of now; nothing yet while it starts."""
        self.check()
        sums: dict[str, float] = {}
        try:
            told = get(f"{self._url}/metrics").decode()
        except OSError:
            told = ""
        cpu_s, at = self.cpu_s(), time.monotonic()
        for family in text_string_to_metric_families(told):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0) + sample.value
        names = ("events_total", "results_total", "changelog_rows_total", "turn_seconds_count", "open_seconds_count")
        return Counted(at, cpu_s, *(int(sums.get(f"hydrant_{name}", 0)) for name in names))

    def until(self, reached: Callable[[Counted], bool], within_s: float, what: str) -> Counted:
        """Wait, looking now and then. Raises Failed."""
        deadline = time.monotonic() + within_s
        while not reached(counted := self.counted()):
            if time.monotonic() > deadline:
                raise Failed(f"{what}: not within {within_s:.0f} s, it stands at {counted}; {self.last_words()}")
            time.sleep(look_every_s)
        return counted


class Sandbox(Process):
    """HighLevel as simulated, and what it saw of us."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        super().__init__(["processor.sandbox", *arguments], log)
        line = self.output.readline()
        if not line:
            raise Failed(f"the sandbox didn't start: {self.last_words()}")
        self.url: str = json.loads(line)["url"]

    def report(self) -> Any:  # JSON
        return orjson.loads(get(f"{self.url}/_sandbox/report"))

    def arrivals(self, location: str) -> list[float]:
        """When its calls came, ms since 1970, refused ones included."""
        log = orjson.loads(get(f"{self.url}/_sandbox/log?location={location}"))
        return [at for at, _, _ in log["arrivals"]]

    def calls(self) -> int:
        return int(self.report()["totals"]["arrivals"])

    def fail(self, faults: Sequence[Json]) -> None:
        """From now on, in addition to what was asked for before; what a fault may be says `processor.sandbox.faults`."""
        post(f"{self.url}/_sandbox/faults", orjson.dumps(faults))


@dataclass(frozen=True, slots=True)
class Stage:
    config: KafkaConfig
    origin: str  # of the Kafka
    folder: Path
    leads: int | None = None  # of a job, where a bench has one; None: as many as that bench thinks fit

    @contextmanager
    def sandbox(
        self, contacts: Iterable[Json] = (), latency_ms: float = 0, options: Sequence[str] = ()
    ) -> Iterator[Sandbox]:
        world = self.folder / "world.jsonl"
        with world.open("wb") as lines:
            lines.writelines(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in contacts)
        arguments = ["--world", str(world), "--latency-ms", str(latency_ms), *options]
        with Sandbox(arguments, self.folder / "sandbox.log") as sandbox:
            yield sandbox

    @contextmanager
    def worker(
        self,
        sandbox: Sandbox,
        profile: Path | None = None,
        name: str = "worker",
        opens: int = partitions,
        **settings: object,
    ) -> Iterator[Worker]:
        """Ready: it has `opens` of the group's partitions, and they are open. Its state is that of the stage's last worker,
        unless HYDRANT_STATE_DIR says otherwise; workers that run at the same time have names of their own."""
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": self.config.bootstrap,
            "KAFKA_TOPIC_PREFIX": self.config.prefix,
            "KAFKA_GROUP_ID": self.config.group_id,
            "GHL_BASE_URL": sandbox.url,
            "GHL_TOKEN": "sandbox",
            "HYDRANT_STATE_DIR": str(self.folder / "state"),
            "HYDRANT_LOG_FORMAT": "json",
            **{name: str(value) for name, value in settings.items()},
        }
        program = ["tests.bench.profiled", str(profile)] if profile else ["processor.cli", "run"]
        with Worker(program, self.folder / f"{name}.log", environ, free_port()) as worker:
            worker.until(lambda counted: counted.opened >= opens, ready_within_s, f"{opens} partitions open")
            yield worker

    def publish(self, changes: Iterable[Published], where: Sequence[str]) -> int:
        """All of them on `lead.changes`, before this returns. Returns how many."""

        async def flood() -> int:
            async with Upstream(self.config) as upstream:
                homes = {location: home(location, partitions) for location in where}
                return await upstream.flood("lead.changes", changes, homes)

        return asyncio.run(flood())

    def read(self, topic: str) -> list[Record]:
        """What is on it by now, as a `read_committed` reader sees it."""

        async def read() -> list[Record]:
            async with Tail(self.config, [topic], start="start", follow=False) as tail:
                return [record async for record in tail]

        return asyncio.run(read())

    def conditions(self) -> list[str]:
        """Of the machine; a bench adds its own."""
        busy = f"load {os.getloadavg()[0]:.1f} when it began"
        machine = f"{os.cpu_count()} cores shared with Kafka, sandbox and bench, {busy}"
        return [f"{machine}; Python {platform.python_version()}; Kafka: {self.origin}, {partitions} partitions"]


@contextmanager
def stage(say: Callable[[str], None], leads: int | None = None) -> Iterator[Stage]:
    """A Kafka of its own (or the one that KAFKA_BOOTSTRAP_SERVERS names), new topics, an empty state folder."""
    with tempfile.TemporaryDirectory(prefix="hydrant-bench-") as folder, kafka(say) as broker:
        prefix = f"bench-{uuid4().hex[:12]}."
        config = KafkaConfig(broker.bootstrap, prefix=prefix, group_id=f"{prefix}hydrant")
        asyncio.run(create_topics(config, partitions))
        yield Stage(config, broker.origin, Path(folder), leads)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        body: bytes = response.read()
        return body


def post(url: str, body: bytes) -> None:
    urllib.request.urlopen(url, body, timeout=10).close()


def kib(told: str) -> dict[str, int]:
    """The lines of a file of /proc that end in kB, by name."""
    lines = (line.split() for line in told.splitlines() if line.endswith(" kB"))
    return {name.removesuffix(":"): int(value) for name, value, _ in lines}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
