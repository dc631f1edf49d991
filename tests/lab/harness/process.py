"""Run a Python program as a process that ends with its owner, and measure, pause, kill or stop it."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from tests.lab.kafka_node.leash import Leash

root: Final = Path(__file__).parents[3]
own_settings: Final = ("KAFKA_", "GHL_", "HYDRANT_", "SYNC_ALL_")  # those of our own environment aren't for a child
ends_within_s: Final = 30.0  # of SIGTERM
pauses_within_s: Final = 10.0
look_every_s: Final = 0.1
response_within_s: Final = 30.0
tick: Final = os.sysconf("SC_CLK_TCK")

opener: Final = build_opener(ProxyHandler({}))  # all servers that are called here run on this machine


class ProcessFailed(AssertionError):
    """Raised when a process ended, or didn't do in time what it should. The message has the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Hold sizes in MiB. RSS includes what is shared with other processes; USS belongs to the process alone."""

    rss: float
    uss: float
    peak: float


class ChildProcess:
    """Start a program. Its standard output and error are its log."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.log = name, log
        self._exit_code: int | None = None  # known once the leash is closed
        self._leash: Leash | None = Leash(log.parent, log, {**environment(), **(environ or {})}, remove=False)
        self._leash.run(sys.executable, *arguments)
        self.pid: Final = self._leash.pid or 0  # 0: it has ended already

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def exit_code(self) -> int | None:
        """Return None while it runs; minus the number of the signal that ended it."""
        return self._leash.exit_code if self._leash else self._exit_code

    def kill(self) -> None:
        """End it as a crash does, by SIGKILL."""
        if self._leash:
            self._leash.end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it in its tracks, and return once all of its threads stand still."""
        pause_process(self.pid)

    def resume(self) -> None:
        if self._leash:
            self._leash.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Send SIGTERM and don't wait."""
        if self._leash:
            self._leash.signal(signal.SIGTERM)

    async def wait_for_exit(self, within_s: float = ends_within_s) -> int:
        """Wait until it has ended, and return its exit code."""
        await wait_until(lambda: self.exit_code is not None, within_s, lambda: f"{self.name} runs: {self.last_lines()}")
        assert self.exit_code is not None
        return self.exit_code

    def close(self) -> None:
        """End it by SIGTERM, as an orchestrator does. Raise ProcessFailed if it had to be killed."""
        if not self._leash:
            return
        self.resume()
        self.terminate()
        deadline = time.monotonic() + ends_within_s
        while (late := self.exit_code is None) and time.monotonic() < deadline:
            time.sleep(look_every_s / 10)
        if late:
            self.kill()
        self._exit_code = self._leash.exit_code
        self._leash.close()
        self._leash = None
        if late:
            raise self.failure(f"didn't end within {ends_within_s:.0f} s of SIGTERM")

    def check(self) -> None:
        """Raise ProcessFailed if it has ended."""
        if (code := self.exit_code) is not None:
            raise self.failure(f"has ended, exit {code}")

    def failure(self, what: str) -> ProcessFailed:
        return ProcessFailed(f"{self.name} {what}; the last lines of its log:\n{self.last_lines()}")

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def log_events(self, *names: str) -> list[dict[str, Any]]:
        """Return the whole lines of its JSON log so far, in order; only those of the named events, if names are given."""
        lines = self.log.read_bytes().rpartition(b"\n")[0].splitlines()
        events = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return [event for event in events if not names or event.get("note") in names]

    def cpu_s(self) -> float:
        """Return the user and system time of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / tick  # utime and stime are the 14th and 15th of all

    def memory(self) -> Memory:
        status, rollup = (_kib(Path(f"/proc/{self.pid}/{name}").read_text()) for name in ("status", "smaps_rollup"))
        uss = rollup["Private_Clean"] + rollup["Private_Dirty"]
        return Memory(status["VmRSS"] / 1024, uss / 1024, status["VmHWM"] / 1024)


def environment() -> dict[str, str]:
    """Return the environment of a child, which finds this code from any folder and inherits none of our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own_settings)}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (str(root), kept.get("PYTHONPATH"))))}


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """Make a folder that is removed at the end of the block, and also when this process is killed."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    leash = Leash(folder, folder / "leash.log")
    try:
        yield folder
    finally:
        leash.close()


def pause_process(pid: int) -> None:
    """Send SIGSTOP and wait until it took effect. It reaches one thread after another, and each works on until then."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + pauses_within_s
    while any(state not in "TtZX" for state in _thread_states(pid)):
        assert time.monotonic() < deadline, f"process {pid} does not stand still"
        time.sleep(0.001)


async def wait_until(reached: Callable[[], bool], within_s: float, describe: Callable[[], str]) -> None:
    """Look now and then. Raise ProcessFailed with a description of how things stand when the time is over."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            raise ProcessFailed(f"not within {within_s:.0f} s: {describe()}")
        await asyncio.sleep(look_every_s)


def call(url: str, method: str = "GET", body: object = None) -> Any:
    """Call a server of ours and return the JSON of its response."""
    return orjson.loads(fetch_page(url, method, None if body is None else orjson.dumps(body)))


def fetch_page(url: str, method: str = "GET", body: bytes | None = None) -> bytes:
    request = Request(url, body, {"content-type": "application/json"}, method=method)
    with opener.open(request, timeout=response_within_s) as response:
        page: bytes = response.read()
        return page


def _thread_states(pid: int) -> Iterator[str]:
    """Yield a letter for each of its threads, as proc(5) has it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
            yield (thread / "stat").read_text().rpartition(")")[2].split()[0]


def _kib(text: str) -> dict[str, int]:
    """Read the lines of a file of /proc that end in kB, by name."""
    lines = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    return {name.removesuffix(":"): int(value) for name, value, _ in lines}
