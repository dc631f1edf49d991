"""Cut a failing run down: fewer leads, jobs and faults, while the same checker still objects. Then report its trace."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

import pytest

from tests.lab.workload.workload import Workload
from tests.simulation.checkers import objecting, violations
from tests.simulation.faults.kills import Kill

from .play import play
from .play_group import play_group
from .run import Run

runs_at_most: Final = 150  # a failing test reports within seconds
flaws_at_most: Final = 12


def assert_no_flaws(run: Run) -> None:
    if report := failure_report(run):
        pytest.fail(report, pytrace=False)


def failure_report(run: Run, but: Collection[str] = ()) -> str:
    """Return the flaws of a run, its seed, and the shortest trace that shows them; empty, if there are none.

    The checkers named in `but` are not asked.
    """
    found = [one for one in violations(run) if one.partition(":")[0] not in but]
    if not found:
        return ""
    least = shortest(run, found[0].partition(":")[0])
    kinds = {lead.number: lead.kind for lead in least.workload.leads}
    return "\n".join(
        [
            f"seed {run.workload.seed}, {faults_of_workers(run)}, {run.world}:",
            *found[:flaws_at_most],
            f"\nOf {len(run.workload.leads)} leads {len(kinds)} are enough: {kinds}, {faults_of_workers(least)}:",
            *(str(job) for job in least.workload.jobs),
            *violations(least)[:flaws_at_most],
            "",
            least.trace.text(),
        ]
    )


def faults_of_workers(run: Run) -> str:
    return f"faults {list(run.faults)}" if run.faults else f"kills {list(run.kills)}"


def shortest(run: Run, checker: str) -> Run:
    """Return the smallest run found in which the same checker objects."""
    left = runs_at_most
    smaller = True
    while smaller and left:
        smaller = False
        for candidate in fewer(run):
            left -= 1
            if not left:
                break
            if checker in objecting(candidate):
                run, smaller = candidate, True
                break
    return run


def fewer(run: Run) -> Iterator[Run]:
    """Play runs with less in them: half of the leads first, then without one of them, or without one kill."""
    if run.faults:
        yield from fewer_in_group(run)
        return
    numbers = [lead.number for lead in run.workload.leads]
    half = len(numbers) // 2
    halves = [numbers[:half], numbers[half:]] if half > 1 else []
    for without in [*halves, *([number] for number in numbers if len(numbers) > 1)]:
        workload = run.workload.without(without)
        for kills in alike(run):
            yield play(workload, kills, run.world)
    for number in range(len(run.kills)):
        yield play(run.workload, [*run.kills[:number], *run.kills[number + 1 :]], run.world)
    for workload in with_less_to_do(run.workload):
        yield play(workload, run.kills, run.world)


def with_less_to_do(workload: Workload) -> Iterator[Workload]:
    """Return the workload without one job, or with half of the bystanders."""
    jobs, bystanders = workload.jobs, workload.bystanders
    for number in range(len(jobs) if len(jobs) > 1 else 0):
        yield replace(workload, jobs=(*jobs[:number], *jobs[number + 1 :]))
    if bystanders:
        yield replace(workload, bystanders=bystanders[: len(bystanders) // 2])


def fewer_in_group(run: Run) -> Iterator[Run]:
    """Play a group without one fault, then with fewer leads."""
    for number, fault in enumerate(run.faults):
        faults = [*run.faults[:number], *run.faults[number + 1 :]]
        if fault.what != "starts" or sum(one.what == "starts" for one in faults):
            yield play_group(run.workload, faults, run.world)
    numbers = [lead.number for lead in run.workload.leads]
    size = max(1, len(numbers) // 4)
    for first in range(0, len(numbers), size):
        if len(numbers) > size:
            yield play_group(run.workload.without(numbers[first : first + size]), run.faults, run.world)
    for workload in with_less_to_do(run.workload):
        yield play_group(workload, run.faults, run.world)


def alike(run: Run) -> Sequence[Sequence[Kill]]:
    """Return the same kills by step and by time: fewer leads make fewer steps."""
    by_time = [replace(kill, at=0, after_ms=worker.age) for kill, worker in zip(run.kills, run.workers, strict=False)]
    return [run.kills, by_time] if any(kill.at for kill in run.kills) else [run.kills]
