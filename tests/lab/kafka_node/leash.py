"""Holds a child process and a folder for an owner: when that ends, even by SIGKILL, the child is killed, the folder removed.

A script on the standard library alone. Each line in (`run ["java", …]`, `end 15`, `look`) is answered by a line that says
how the child stands. Being its parent, the leash can't hit a stranger that got the child's process id.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NoReturn

look_every_s = 1.0  # at the owner: someone else may hold our input open
end_within_s = 15.0  # a child that was asked to stop, then it is killed
parent_death_signal = 1  # PR_SET_PDEATHSIG


def main(folder: str, owner: int) -> None:
    signal.signal(signal.SIGTERM, leave)
    child: subprocess.Popen[bytes] | None = None
    try:
        for line in lines(owner):
            word, _, rest = line.partition(" ")
            match word:
                case "run":
                    child = run(json.loads(rest), folder)
                case "end" if child:
                    end(child, int(rest))
            print(standing(child), flush=True)
    finally:
        if child:
            end(child, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def lines(owner: int) -> Iterator[str]:
    """What the owner says, until it is gone."""
    heard = b""
    while os.getppid() == owner:
        if select.select([0], [], [], look_every_s)[0]:
            more = os.read(0, 65_536)
            if not more:
                return
            *whole, heard = (heard + more).split(b"\n")
            yield from (line.decode() for line in whole)


def run(command: list[str], folder: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=die_with_me)


def die_with_me() -> None:
    """Should the leash itself be killed, the child goes too. Linux only, and sound because the leash has one thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def end(child: subprocess.Popen[bytes], by: int) -> None:
    child.send_signal(by)
    try:
        child.wait(end_within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def standing(child: subprocess.Popen[bytes] | None) -> str:
    if child is None:
        return "none"
    return f"running {child.pid}" if child.poll() is None else f"ended {child.returncode}"


def leave(*_: object) -> NoReturn:
    raise SystemExit


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
