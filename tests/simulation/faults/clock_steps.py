"""Steps of a worker's wall clock."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock of a worker's machine is set."""

    at: int
    by: int  # ms
    who: int = 0  # the worker's number
    within_ms: int | None = None  # it stays this near to the true time, where other machines do so, too


def draw_big_step(random: Random) -> int:
    """Draw ms by which a lone worker's clock is set, forward or back."""
    return random.choice([-1, 1]) * random.choice([300, 501, 1_000, 2_000, 3_000])


def draw_small_steps(random: Random) -> list[int]:
    return [random.choice([-1, 1]) * random.choice([300, 501, 800, 1_000]) for _ in range(random.choice([0, 0, 1, 2]))]
