"""Seeded fault schedules of whole workers: `python -m tests.prove.schedules --seeds N --first K` plays N worlds, asks all
checkers, and prints the faults, the violations and the cost.

`python -m tests.simulation --world NAME --seed SEED` plays one world again and prints its trace.
"""

import argparse
import gc
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Final

from tests.lab.workload.times import start_ms
from tests.lab.workload.workload import flood
from tests.simulation.checkers import violations
from tests.simulation.faults.observed import count_faults
from tests.simulation.runs.play import play
from tests.simulation.runs.run import World
from tests.simulation.runs.shortest import failure_report
from tests.simulation.runs.worlds import worlds

names: Final[Sequence[str]] = tuple(worlds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one seed."""

    seed: int
    world: str
    failure: str  # the violations, and the shortest trace that shows them; empty, if there are none
    faults: Mapping[str, int]  # by kind
    calls: int
    virtual_ms: int
    real_s: float  # without the search for the shortest trace


def run(seed: int) -> Outcome:
    """Play the world of this seed, with all its faults, and ask the checkers."""
    world = names[seed % len(names)]
    began = perf_counter()
    with uncollected():
        played = worlds[world](seed)
        wrong = violations(played)
    real_s = perf_counter() - began
    return Outcome(
        seed,
        world,
        failure_report(played) if wrong else "",
        dict(count_faults(played)),
        len(played.server.sent),
        played.loop.ms - start_ms,
        real_s,
    )


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch the garbage collector off: in a world it takes a tenth of the time and finds little."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def speed() -> float:
    """Return the calls per second of CPU time of a worker with endless work of 16 locations, and no fault."""
    began = process_time()
    played = play(flood(0, leads=1_600, locations=16), world=World(probe_size=1))
    return len(played.server.sent) / (process_time() - began)


def table(outcomes: Sequence[Outcome]) -> Iterable[str]:
    """Return the lines of a table of worlds, violations and faults."""
    yield f"{'world':<28}{'seeds':>7}{'calls':>10}{'hours':>8}{'s':>8}{'violated':>10}"
    for name in (*names, "all"):
        mine = [one for one in outcomes if name in (one.world, "all")]
        calls, real_s = sum(one.calls for one in mine), sum(one.real_s for one in mine)
        hours = sum(one.virtual_ms for one in mine) / 3_600_000
        violated = sum(bool(one.failure) for one in mine)
        yield f"{name:<28}{len(mine):>7}{calls:>10,}{hours:>8,.0f}{real_s:>8.1f}{violated:>10}"
    yield ""
    injected = sum((Counter(one.faults) for one in outcomes), Counter[str]())
    yield from (f"{count:>8,}  {kind}" for kind, count in injected.most_common())
    yield ""
    yield f"{calls / real_s:,.0f} calls a second of real time"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove.schedules", description=__doc__)
    parser.add_argument("--seeds", type=int, default=130, help="how many")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    options = parser.parse_args()
    logging.disable()
    outcomes = [run(seed) for seed in range(options.first, options.first + options.seeds)]
    print(*table(outcomes), sep="\n")
    violated = [one for one in outcomes if one.failure]
    for one in violated:
        print(f"\npython -m tests.simulation --world {one.world} --seed {one.seed}\n{one.failure}")
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
