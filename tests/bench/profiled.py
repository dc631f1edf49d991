"""`python -m tests.bench.profiled FILE`: `hydrant run` under cProfile, which leaves its statistics in FILE.

Imports are done before, so that what is measured is the work. `top` reads such a file.
"""

import cProfile
import pstats
import re
import sys
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import Spent

idle: Final = ("'poll' of 'select.epoll'", "'sched_yield'")  # waiting is no cost
folders: Final = re.compile(r".*/(?=processor/)|.*/site-packages/|.*/lib/python3\.\d+/")


def main(file: str) -> None:
    import processor.app  # noqa: F401  # whatever a worker needs
    from processor.cli import main as hydrant

    profile = cProfile.Profile()
    sys.argv = ["hydrant", "run"]
    try:
        profile.runcall(hydrant)
    finally:
        profile.dump_stats(file)


def top(file: Path, count: int) -> list[Spent]:
    """The functions with the most time of their own."""
    table: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]  # typeshed hides it
    busy = {place: cost for place, cost in table.items() if not any(waiting in place[2] for waiting in idle)}
    total = sum(own for _, _, own, _, _ in busy.values())
    first = sorted(busy.items(), key=lambda item: -item[1][2])[:count]
    return [Spent(named(*place), calls, own, own / total) for place, (_, calls, own, _, _) in first]


def named(file: str, line: int, function: str) -> str:
    return function if file == "~" else f"{folders.sub('', file)}:{line} {function}"


if __name__ == "__main__":
    main(sys.argv[1])
