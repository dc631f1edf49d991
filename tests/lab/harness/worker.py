"""Run a worker as a process, and read its metrics and its log."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tests.lab.harness.process import ChildProcess, fetch_page
from tests.lab.kafka_node.kraft import free_ports

look_every_s: Final = 0.2
run_worker: Final = ("-m", "processor.cli", "run")


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Hold what the worker's own metrics count, and what it has cost up to then."""

    at: float  # monotonic s
    cpu_s: float
    events: int  # their turn is committed
    results: int
    changelog_rows: int
    turns: int
    opened: int  # partitions


class WorkerProcess(ChildProcess):
    """Run `hydrant run`, or another program that does the same."""

    def __init__(self, name: str, log: Path, environ: Mapping[str, str], program: Sequence[str] = run_worker) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._pages: list[str] = []
        self._paused = False
        super().__init__(name, program, log, {**environ, "HYDRANT_HTTP_PORT": str(port)})

    def kill(self) -> None:
        self._keep_metrics()
        super().kill()

    def terminate(self) -> None:
        self._keep_metrics()
        super().terminate()

    def pause(self) -> None:
        super().pause()
        self._paused = True

    def resume(self) -> None:
        super().resume()
        self._paused = False

    @property
    def owned(self) -> frozenset[int]:
        """Return the partitions that membership gave it last."""
        lists = [event.get("partitions") or "" for event in self.log_events("owned")]
        return frozenset(map(int, lists[-1].split(","))) if lists and lists[-1] else frozenset()

    @property
    def open(self) -> frozenset[int]:
        """Return the partitions that it serves."""
        last = {event["partition"]: event["note"] for event in self.log_events("opened", "closed")}
        return frozenset(partition for partition, note in last.items() if note == "opened")

    @property
    def everything_written(self) -> str:
        """Return its log, and its pages of metrics from before each signal that ends it."""
        return "\n".join([self.log.read_text(errors="replace"), *self._pages])

    def counts(self) -> WorkerCounts:
        """Return its counts as of now; zeros while it starts. Raise ProcessFailed if it has ended."""
        self.check()
        try:
            page = fetch_page(f"{self.url}/metrics").decode()
        except OSError:
            page = ""
        cpu_s, at = self.cpu_s(), time.monotonic()
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0) + sample.value
        names = ("events_total", "results_total", "changelog_rows_total", "turn_seconds_count", "open_seconds_count")
        return WorkerCounts(at, cpu_s, *(int(sums.get(f"hydrant_{name}", 0)) for name in names))

    def wait_for_counts(self, reached: Callable[[WorkerCounts], bool], within_s: float, what: str) -> WorkerCounts:
        """Block until they are reached, looking now and then. Raise ProcessFailed."""
        deadline = time.monotonic() + within_s
        while not reached(counts := self.counts()):
            if time.monotonic() > deadline:
                raise self.failure(f"{what}: not within {within_s:.0f} s, but {counts}")
            time.sleep(look_every_s)
        return counts

    def _keep_metrics(self) -> None:
        if not self._paused and self.exit_code is None:
            with suppress(OSError):
                self._pages.append(fetch_page(f"{self.url}/metrics").decode())
