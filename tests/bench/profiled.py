"""`python -m tests.bench.profiled FILE`: `hydrant run`, looked at each 5 ms of its CPU; what was seen lies in FILE at its end.

Sampled, so the worker is hardly slower than without: cProfile makes it four times as slow, and cheap calls look dear. What C code
spends counts for the Python around it. Imports are done before. `top` reads such a file.
"""

import re
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import orjson

from tests.bench.figures import Spent

every_s: Final = 0.005
folders: Final = re.compile(r".*/(?=processor/)|.*/site-packages/|.*/lib/python3\.\d+/")


class Samples:
    """By function: how often it ran itself, and how often it or something that it called."""

    def __init__(self) -> None:
        self._own, self._within = Counter[CodeType](), Counter[CodeType]()

    def begin(self) -> None:
        signal.signal(signal.SIGPROF, self._take)
        signal.siginterrupt(signal.SIGPROF, False)  # no system call shall fail because we look
        signal.setitimer(signal.ITIMER_PROF, every_s, every_s)

    def end(self, file: Path) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        total = max(1, self._own.total())
        seen = [(named(code), own / total, self._within[code] / total) for code, own in self._own.most_common()]
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
    import processor.app  # noqa: F401  # whatever a worker needs
    from processor.cli import command_line

    samples = Samples()
    sys.argv = ["hydrant", "run"]
    samples.begin()
    try:
        command_line()
    finally:
        samples.end(Path(file))


def top(file: Path, count: int) -> list[Spent]:
    """The functions in which most of the CPU was spent."""
    return [Spent(*one) for one in orjson.loads(file.read_bytes())[:count]]


def named(code: CodeType) -> str:
    return f"{folders.sub('', code.co_filename)}:{code.co_firstlineno} {code.co_qualname}"


if __name__ == "__main__":
    main(sys.argv[1])
