"""All checkers of a simulated run: those of the lab, and those that need the inside of the simulation."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.lab.checkers import Checker, checkers
from tests.simulation.runs.run import Run

from .clocks import patient, permits, unsettled
from .fairness import ends_soon, interactive_first, isolated, no_lane_starves
from .workers import awake_for_a_reason, healthy, held_in_bounds, no_fence_war

RunChecker = Callable[[Run], Iterator[str]]


def of_history(checker: Checker) -> RunChecker:
    return lambda run: checker(run.history)


run_checkers: Final[tuple[RunChecker, ...]] = (
    healthy,
    awake_for_a_reason,
    no_fence_war,
    held_in_bounds,
    permits,
    unsettled,
    patient,
    interactive_first,
    no_lane_starves,
    isolated,
    ends_soon,
)
all_checkers: Final[Mapping[str, RunChecker]] = {
    **{checker.__name__: checker for checker in run_checkers},
    **{checker.__name__: of_history(checker) for checker in checkers},
}


def violations(run: Run) -> list[str]:
    """Return all flaws of a run, each with the name of its checker."""
    return [f"{name}: {flaw}" for name, checker in all_checkers.items() for flaw in checker(run)]


def objecting(run: Run) -> set[str]:
    """Return the names of the checkers that object."""
    return {name for name, checker in all_checkers.items() if any(True for _ in checker(run))}
