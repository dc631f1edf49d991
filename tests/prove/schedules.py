"""Seeded fault schedules of whole workers, each played in one of the worlds and judged by all checkers.

`python -m tests.simulation --world NAME --seed SEED` plays one world again and prints its trace.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
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
