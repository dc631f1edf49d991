"""A run that fails, cut down: fewer leads, fewer deaths, the same oracle still objecting. Then it is told in full."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

import pytest

from .oracles import broken, violations
from .play import Run, play
from .together import play_together
from .worker import Kill
from .world import Scenario

runs_at_most: Final = 150  # a failing test tells what it can within seconds
said_at_most: Final = 12


def keeps_every_promise(run: Run) -> None:
    if said := complaint(run):
        pytest.fail(said, pytrace=False)


def complaint(run: Run, but: Collection[str] = ()) -> str:
    """What is wrong with a run, its seed, and the shortest trace that shows it; empty, if all is well. `but` names
    oracles that aren't asked."""
    said = [one for one in violations(run) if one.partition(":")[0] not in but]
    if not said:
        return ""
    least = shortest(run, said[0].partition(":")[0])
    kinds = {tale.number: tale.kind for tale in least.scenario.tales}
    return "\n".join(
        [
            f"seed {run.scenario.seed}, {befell(run)}, {run.world}:",
            *said[:said_at_most],
            f"\nOf {len(run.scenario.tales)} leads {len(kinds)} are enough: {kinds}, {befell(least)}:",
            *(str(order) for order in least.scenario.orders),
            *violations(least)[:said_at_most],
            "",
            least.trace.text(),
        ]
    )


def befell(run: Run) -> str:
    return f"fates {list(run.fates)}" if run.fates else f"kills {list(run.kills)}"


def shortest(run: Run, objection: str) -> Run:
    """The smallest run found in which the same oracle objects."""
    left = runs_at_most
    smaller = True
    while smaller and left:
        smaller = False
        for candidate in fewer(run):
            left -= 1
            if not left:
                break
            if objection in broken(candidate):
                run, smaller = candidate, True
                break
    return run


def fewer(run: Run) -> Iterator[Run]:
    """Runs with less in them: half of the leads first, then without one of them, or without one death."""
    if run.fates:
        yield from fewer_together(run)
        return
    numbers = [tale.number for tale in run.scenario.tales]
    half = len(numbers) // 2
    halves = [numbers[:half], numbers[half:]] if half > 1 else []
    for without in [*halves, *([number] for number in numbers if len(numbers) > 1)]:
        scenario = run.scenario.without(without)
        for kills in alike(run):
            yield play(scenario, kills, run.world)
    for number in range(len(run.kills)):
        yield play(run.scenario, [*run.kills[:number], *run.kills[number + 1 :]], run.world)
    for scenario in with_less_to_do(run.scenario):
        yield play(scenario, run.kills, run.world)


def with_less_to_do(scenario: Scenario) -> Iterator[Scenario]:
    """Without one job, or with fewer contacts of nobody's."""
    orders, bystanders = scenario.orders, scenario.bystanders
    for number in range(len(orders) if len(orders) > 1 else 0):
        yield replace(scenario, orders=(*orders[:number], *orders[number + 1 :]))
    if bystanders:
        yield replace(scenario, bystanders=bystanders[: len(bystanders) // 2])


def fewer_together(run: Run) -> Iterator[Run]:
    """The same for a run of several workers: without one fate, then with fewer leads."""
    for number, fate in enumerate(run.fates):
        fates = [*run.fates[:number], *run.fates[number + 1 :]]
        if fate.what != "starts" or sum(one.what == "starts" for one in fates):
            yield play_together(run.scenario, fates, run.world)
    numbers = [tale.number for tale in run.scenario.tales]
    size = max(1, len(numbers) // 4)
    for first in range(0, len(numbers), size):
        if len(numbers) > size:
            yield play_together(run.scenario.without(numbers[first : first + size]), run.fates, run.world)
    for scenario in with_less_to_do(run.scenario):
        yield play_together(scenario, run.fates, run.world)


def alike(run: Run) -> Sequence[Sequence[Kill]]:
    """The same deaths where fewer leads make fewer steps: by the step, and by the time."""
    by_time = [replace(kill, at=0, after_ms=worker.age) for kill, worker in zip(run.kills, run.workers, strict=False)]
    return [run.kills, by_time] if any(kill.at for kill in run.kills) else [run.kills]
