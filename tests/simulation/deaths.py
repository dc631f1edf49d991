"""Where a worker can die in a small scenario: every await, and both sides of SQLite's commit."""

from collections.abc import Callable, Iterator
from typing import Final

from processor.ratelimit.budget import Rate

from .play import World, play
from .worker import Found, Kill, Point
from .world import Scenario, scenario

few_calls: Final = World(Rate(9))  # a budget that matters with a few leads


def moments(seed: int, tell: Callable[[int], Scenario] = scenario, world: World = few_calls) -> list[tuple[int, Point]]:
    """The steps before which the worker of a told scenario can die, but for those since which nothing left it or came
    to it: whoever looks from outside, or succeeds it, can't tell them apart."""
    (worker,) = play(tell(seed), world=world, watch=True).workers
    first: dict[Point, int] = {}
    for step, point in enumerate(worker.points or (), start=1):
        first.setdefault(point, step)
    return [(step, point) for point, step in first.items()]


def deaths(
    seed: int, state: Found, tell: Callable[[int], Scenario] = scenario, world: World = few_calls
) -> Iterator[Kill]:
    """One death at each of them; where the end of a transaction is on its way, it lands, and it doesn't."""
    for step, point in moments(seed, tell, world):
        for lands in (True, False) if point.deciding else (True,):
            yield Kill(step, lands=lands, state=state, pause_ms=(1, 200, 900)[step % 3])
