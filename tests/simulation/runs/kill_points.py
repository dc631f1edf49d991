"""The points at which a worker can die in a small workload: each await, and both sides of SQLite's commit."""

from collections.abc import Callable, Iterator
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.workload.workload import Workload, of_kinds
from tests.simulation.faults.kills import Kill, KillPoint, StateLeft

from .play import play
from .run import World

MakeWorkload = Callable[[int], Workload]

small_budget: Final = World(Rate(9))  # a budget that matters with a few leads


def kill_points(seed: int, make: MakeWorkload = of_kinds, world: World = small_budget) -> list[tuple[int, KillPoint]]:
    """Return the steps before which the worker can die.

    Steps between which nothing left or reached the worker are one: they can't be distinguished from outside.
    """
    (worker,) = play(make(seed), world=world, watch=True).workers
    first: dict[KillPoint, int] = {}
    for step, point in enumerate(worker.points or (), start=1):
        first.setdefault(point, step)
    return [(step, point) for point, step in first.items()]


def kills_at_each_point(
    seed: int, state: StateLeft, make: MakeWorkload = of_kinds, world: World = small_budget
) -> Iterator[Kill]:
    """Return a kill at each point; where the end of a transaction is under way, one that lets it land and one that doesn't."""
    for step, point in kill_points(seed, make, world):
        for lands in (True, False) if point.deciding else (True,):
            yield Kill(step, lands=lands, state=state, pause_ms=(1, 200, 900)[step % 3])
