"""Hold a child process for its owner, and kill the child when the owner ends, even if the owner ends by SIGKILL.

`Leash` is the owner's side. It runs this file as a script of its own, on the standard library alone. The script reads a command a
line (`run ["java", …]`, `signal 19`, `end 15`, `state`) and replies with the state of the child. The script is
the child's parent, so it never signals a stranger that got the child's process id.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

look_every_s = 1.0  # at the owner: another process may hold our input open
end_within_s = 15.0  # a child that was asked to stop; then it is killed
removals = 30  # at most: a process of another leash may still write there
parent_death_signal = 1  # PR_SET_PDEATHSIG


class LeashBroken(Exception):
    """Raised when the script has ended, and its child with it."""


class Leash:
    """Start and signal one child at a time. It runs in `folder`, which goes with it if `remove` is set. Safe to use from threads."""

    def __init__(self, folder: Path, log: Path, environ: Mapping[str, str] | None = None, remove: bool = True) -> None:
        script = [sys.executable, "-I", "-S", __file__, str(folder), str(os.getpid()), "remove" if remove else "keep"]
        self._lock = threading.Lock()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                script,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environ,
                start_new_session=True,  # Ctrl-C is the owner's to handle
            )

    @property
    def pid(self) -> int | None:
        """Return the process id of the child while it runs."""
        state, _, pid = self._ask("state").partition(" ")
        return int(pid) if state == "running" else None

    @property
    def exit_code(self) -> int | None:
        """Return the exit code of the last child: None before it ended, minus the number of the signal that ended it."""
        state, _, code = self._ask("state").partition(" ")
        return int(code) if state == "ended" else None

    def run(self, *command: str) -> None:
        """Start a child, once the last one has ended."""
        self._ask(f"run {json.dumps(command)}")

    def signal(self, number: int) -> None:
        """Send a signal and don't wait for what comes of it."""
        self._ask(f"signal {number:d}")

    def end(self, number: int) -> None:
        """Send a signal that ends the child, and wait until it has ended."""
        self._ask(f"end {number:d}")

    def close(self) -> None:
        """Kill the child and remove its folder."""
        with self._lock:
            self._popen.communicate()

    def _ask(self, command: str) -> str:
        assert self._popen.stdin
        assert self._popen.stdout
        with self._lock:
            try:
                self._popen.stdin.write(f"{command}\n".encode())
                self._popen.stdin.flush()
                reply = self._popen.stdout.readline().decode().strip()
            except (BrokenPipeError, ValueError):
                reply = ""
        if not reply:
            raise LeashBroken
        return reply


def main(folder: str, owner: int, remove: bool) -> None:
    signal.signal(signal.SIGTERM, leave)
    child: subprocess.Popen[bytes] | None = None
    try:
        for line in lines(owner):
            word, _, rest = line.partition(" ")
            match word:
                case "run":
                    child = run(json.loads(rest), folder)
                case "signal" if child:
                    child.send_signal(int(rest))
                case "end" if child:
                    end(child, int(rest))
            print(state(child), flush=True)
    finally:
        if child:
            end(child, signal.SIGKILL)
        for _ in range(removals if remove else 0):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.1)


def lines(owner: int) -> Iterator[str]:
    """Yield the owner's commands until the owner is gone."""
    rest = b""
    while os.getppid() == owner:
        if select.select([0], [], [], look_every_s)[0]:
            more = os.read(0, 65_536)
            if not more:
                return
            *whole, rest = (rest + more).split(b"\n")
            yield from (line.decode() for line in whole)


def run(command: list[str], folder: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=die_with_me)


def die_with_me() -> None:
    """Have the child killed should the script itself be killed. Linux only, and sound because the script has one thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def end(child: subprocess.Popen[bytes], number: int) -> None:
    child.send_signal(number)
    try:
        child.wait(end_within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def state(child: subprocess.Popen[bytes] | None) -> str:
    if child is None:
        return "none"
    return f"running {child.pid}" if child.poll() is None else f"ended {child.returncode}"


def leave(*_: object) -> NoReturn:
    raise SystemExit


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "remove")
