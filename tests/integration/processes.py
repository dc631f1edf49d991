"""The processes of a test of faults: workers that can be hurt, and a HighLevel that can be told to misbehave."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from tests.bench import stage as bench
from tests.lab.demo.spent import Arrival
from tests.lab.demo.stage import ask

look_every_s: Final = 0.1


class Worker(bench.Worker):
    """`hydrant run` as a process, and its complete output."""

    def __init__(self, name: str, log: Path, environ: Mapping[str, str]) -> None:
        super().__init__(["processor.cli", "run"], log, environ, bench.free_port())
        self.name = name
        self._pages: list[str] = []
        self._printed = b""
        self._stands_still = False

    def kill(self) -> None:
        """-9."""
        self.look()
        self._popen.kill()
        self._popen.wait()

    def stand_still(self) -> None:
        stand_still(self._popen.pid)
        self._stands_still = True

    def go_on(self) -> None:
        self._popen.send_signal(signal.SIGCONT)
        self._stands_still = False

    def terminate(self) -> None:
        """Begin to drain; `ended` waits."""
        self.look()
        self._popen.send_signal(signal.SIGTERM)

    async def ended(self, within_s: float = bench.end_within_s) -> int:
        """Its exit code, once it ended by itself or by SIGTERM."""
        await until(lambda: self._popen.poll() is not None, within_s, lambda: f"{self.name} runs: {self.last_words()}")
        return self._popen.returncode

    @property
    def exit_code(self) -> int | None:
        """None: it runs."""
        return self._popen.poll()

    def end(self) -> None:
        if not self.output.closed:
            self.look()
            if self._popen.poll() is None:
                self.go_on()
                self._popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(bench.end_within_s)
                self._printed = self.output.read()
            super().end()

    @property
    def said(self) -> str:
        """All that it told: its log, its standard output once it was ended, and pages of metrics."""
        return "\n".join([self._log.read_text(errors="replace"), self._printed.decode(errors="replace"), *self._pages])

    def notes(self, *names: str) -> list[dict[str, Any]]:
        """Lines of its log, in order, as far as they are whole by now; all, or those of some notes."""
        lines = self._log.read_bytes().rpartition(b"\n")[0].splitlines()
        found = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return [one for one in found if not names or one.get("note") in names]

    @property
    def owned(self) -> frozenset[int]:
        """Partitions that are its own, as it was told last."""
        told = [note.get("partitions") or "" for note in self.notes("owned")]
        return frozenset(map(int, told[-1].split(","))) if told and told[-1] else frozenset()

    @property
    def open(self) -> frozenset[int]:
        """Partitions that it serves."""
        last = {note["partition"]: note["note"] for note in self.notes("opened", "closed")}
        return frozenset(partition for partition, note in last.items() if note == "opened")

    def look(self) -> None:
        """Keep its page of metrics as it is now, if it answers."""
        if self._popen.poll() is None and not self._stands_still:
            with suppress(OSError):
                self._pages.append(bench.get(f"{self._url}/metrics").decode())


def stand_still(pid: int, within_s: float = 10) -> None:
    """SIGSTOP, and wait until it took effect: a signal reaches the threads one after another, and each may finish what it
    does until then."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + within_s
    while any(state not in "TtZX" for state in _states(pid)):
        assert time.monotonic() < deadline, f"process {pid} does not stand still"
        time.sleep(0.001)


def _states(pid: int) -> list[str]:
    """A letter for each of its threads, as proc(5) has it."""
    states = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return states


class HighLevel(bench.Sandbox):
    def fault(self, **fields: object) -> int:
        """A row of `processor.sandbox.faults`: `kind="hang", location=…`. Returns its number."""
        (number,) = ask(f"{self.url}/_sandbox/faults", "POST", fields)["ids"]
        return int(number)

    def cure(self, number: int | None = None) -> None:
        """One, or all."""
        ask(f"{self.url}/_sandbox/faults" + ("" if number is None else f"?id={number}"), "DELETE")

    def log(self) -> dict[str, list[Arrival]]:
        """What arrived, by location; "": calls that told none."""
        known: Iterable[str] = ["", *self.report()["locations"]]
        arrivals = {location: ask(f"{self.url}/_sandbox/log?location={location}")["arrivals"] for location in known}
        return {location: [Arrival(*one) for one in arrived] for location, arrived in arrivals.items() if arrived}


async def until(true: Callable[[], bool], within_s: float, stands: Callable[[], str]) -> None:
    """Look now and then; `stands` says how things stand when it was in vain."""
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {stands()}")
        await asyncio.sleep(look_every_s)
