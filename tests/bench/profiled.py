"""Run `hydrant run` and sample its stack each 5 ms of its CPU: `python -m tests.bench.profiled FILE`.

At the end the samples are written to FILE, which `top` reads. Sampling hardly slows the worker down; cProfile makes it four times
as slow, and cheap calls look dear. The time of C code counts for the Python around it. Imports are done before.
"""

import re
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import orjson

from tests.bench.figures import CpuShare

every_s: Final = 0.005
folders: Final = re.compile(r".*/(?=processor/)|.*/site-packages/|.*/lib/python3\.\d+/")


class Samples:
    """Count by function how often it ran itself, and how often it or a function that it called ran."""

    def __init__(self) -> None:
        self._own, self._within = Counter[CodeType](), Counter[CodeType]()

    def begin(self) -> None:
        signal.signal(signal.SIGPROF, self._take)
        signal.siginterrupt(signal.SIGPROF, False)  # no system call may fail because of a sample
        signal.setitimer(signal.ITIMER_PROF, every_s, every_s)

    def end(self, file: Path) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        total = max(1, self._own.total())
        seen = [(describe_code(code), own / total, self._within[code] / total) for code, own in self._own.most_common()]
        file.write_bytes(orjson.dumps(seen))

    def _take(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            self._own[frame.f_code] += 1
        stack = set()
        while frame is not None:
            stack.add(frame.f_code)
            frame = frame.f_back
        self._within.update(stack)


def main(file: str) -> None:
    import processor.app  # noqa: F401  # all that a worker imports
    from processor.cli import command_line

    samples = Samples()
    sys.argv = ["hydrant", "run"]
    samples.begin()
    try:
        command_line()
    finally:
        samples.end(Path(file))


def top(file: Path, count: int) -> list[CpuShare]:
    """Return the functions in which most of the CPU was spent."""
    return [CpuShare(*one) for one in orjson.loads(file.read_bytes())[:count]]


def describe_code(code: CodeType) -> str:
    return f"{folders.sub('', code.co_filename)}:{code.co_firstlineno} {code.co_qualname}"


if __name__ == "__main__":
    main(sys.argv[1])
