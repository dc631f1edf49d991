"""Where a worker can die in a small scenario: every await, and both sides of SQLite's commit."""

from collections.abc import Iterator
from typing import Final

from processor.highlevel.budget import Rate

from .play import World, play
from .worker import Found, Kill, Point
from .world import scenario

few_calls: Final = World(Rate(9))  # a budget that matters with a few leads


def moments(seed: int) -> list[tuple[int, Point]]:
    """The steps before which the worker of `scenario(seed)` can die, but for those since which nothing left it or came
    to it: whoever looks from outside, or succeeds it, can't tell them apart."""
    (worker,) = play(scenario(seed), world=few_calls, watch=True).workers
    first: dict[Point, int] = {}
    for step, point in enumerate(worker.points or (), start=1):
        first.setdefault(point, step)
    return [(step, point) for point, step in first.items()]


def deaths(seed: int, state: Found) -> Iterator[Kill]:
    """One death at each of them; where the end of a transaction is on its way, it lands, and it doesn't."""
    for step, point in moments(seed):
        for lands in (True, False) if point.deciding else (True,):
            yield Kill(step, lands=lands, state=state, pause_ms=(1, 200, 900)[step % 3])
