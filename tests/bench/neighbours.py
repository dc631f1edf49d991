"""Measure how much sick locations disturb others: one that hangs, one whose every call is a 503, one that is throttled."""

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.figures import Figure, Report, at_most, percentile
from tests.bench.latency import check
from tests.bench.leads import Json, Published, change, contacts, event, lead_id, locations
from tests.bench.steady import evenly, spread
from tests.bench.testbed import BenchFailed, Testbed
from tests.lab.harness.sandbox import SandboxProcess

neighbours: Final = locations(20)
each_per_s: Final = 2.5  # leads of a neighbour
lacking: Final = ("contact_id",)  # one search gives it
latency_ms: Final = 50.0
warm_up_s: Final = 5.0  # at the beginning of each phase, not counted
sick: Final[dict[str, Json]] = {  # location → what its every call meets
    "BenchHangs": {"kind": "hang"},
    "BenchUnavailable": {"kind": "status", "status": 503},
    "BenchThrottled": {"kind": "status", "status": 429, "retry_after": "seconds", "retry_after_s": 1},
}
backlog: Final = 500  # leads of a sick location
calls_at_least: Final = 5  # of each sick location in a phase: fewer mean that it isn't sick but silent


def beside_the_sick(testbed: Testbed, quick: bool) -> Report:
    rounds, seconds = (2, 10.0) if quick else (4, 20.0)
    conditions = [
        f"{len(neighbours)} neighbours, {each_per_s} leads a second each that lack their contact, evenly: one search a lead",
        f"(HYDRANT_PROBE_SIZE=1), answered after {latency_ms:.0f} ms; beside them three sick locations with {backlog} leads "
        "each to look up:",
        "one hangs, one answers 503, one answers 429 with Retry-After 1 s",
        f"{rounds} times {seconds:.0f} s alone, {rounds} times beside (other sick ones each time), in turns, each after "
        f"{warm_up_s:.0f} s that don't count",
        "from a change record's CreateTime until a read_committed reader has the result; medians of the phases",
    ]
    report = Report("beside_the_sick", testbed.conditions() + conditions)
    each = int((warm_up_s + seconds) * each_per_s) * len(neighbours)  # leads of a phase
    alone, beside = list[list[float]](), list[list[float]]()
    with testbed.sandbox(contacts(neighbours, range(2 * rounds * each)), latency_ms) as sandbox:
        with testbed.worker(sandbox, HYDRANT_PROBE_SIZE=1):
            for turn in range(rounds):
                alone.append(phase(testbed, 2 * turn * each, seconds))
                places = fall_sick(testbed, sandbox, turn, first=2 * rounds * each)
                beside.append(phase(testbed, (2 * turn + 1) * each, seconds))
                remove(testbed, places, first=2 * rounds * each)
        by_location = sandbox.report()["locations"]
    silent = [place for place, calls in calls_by_phase(by_location).items() if min(calls) < calls_at_least]
    if silent:
        raise BenchFailed(f"hardly any call was made for {', '.join(silent)}")
    report.figures += figures(alone, beside)
    report.figures += [
        Figure(f"calls of {place}, a phase", statistics.mean(calls))
        for place, calls in calls_by_phase(by_location).items()
    ]
    return report


def phase(testbed: Testbed, first: int, seconds: float) -> list[float]:
    """Publish the neighbours' leads evenly. Return how long each took, ms."""
    events = [
        (after_s, change(neighbours[place], first + number, 1, lacking))
        for number, (after_s, place) in enumerate(spread(len(neighbours), each_per_s, warm_up_s + seconds))
    ]
    results = asyncio.run(evenly(testbed.config, "lead.changes", events))
    check(results, {"search": 1})
    return [one.arrived for one, (after_s, _) in zip(results, events, strict=True) if after_s >= warm_up_s]


def fall_sick(testbed: Testbed, sandbox: SandboxProcess, turn: int, first: int) -> list[str]:
    """Let three new locations with a backlog each fail. Return their names."""
    places = {f"{place}{turn}": fault for place, fault in sick.items()}
    for place, fault in places.items():
        sandbox.add_fault(**fault, location=place)
    testbed.publish_changes(backlogs([*places], first), [*places])
    return [*places]


def backlogs(places: Sequence[str], first: int) -> Iterator[Published]:
    for number in range(first, first + backlog):
        yield from (change(place, number, 1, lacking) for place in places)


def remove(testbed: Testbed, places: Sequence[str], first: int) -> None:
    """Delete their leads, and all work with them, so that what follows is alone again."""
    testbed.publish_changes(deletions(places, first), places)


def deletions(places: Sequence[str], first: int) -> Iterator[Published]:
    for number in range(first, first + backlog):
        for place in places:
            data = {"location_id": place, "lead_id": lead_id(number), "revision": 2}
            yield place, event("lead.deleted", data, place, f"deletion-{number}")


def calls_by_phase(by_location: Json) -> dict[str, list[int]]:
    """Return the calls of each sick location in each phase."""
    return {place: [by_location[name]["arrivals"] for name in by_location if name.startswith(place)] for place in sick}


def figures(alone: Sequence[Sequence[float]], beside: Sequence[Sequence[float]]) -> list[Figure]:
    found, medians = list[Figure](), list[float]()
    for what, phases in (("alone", alone), ("beside the sick", beside)):
        p99s = [percentile(one, 0.99) for one in phases]
        medians.append(statistics.median(p99s))
        found += [
            Figure(f"{what}: p50", statistics.median(percentile(one, 0.5) for one in phases), "ms"),
            Figure(f"{what}: p99", medians[-1], "ms"),
            Figure(f"{what}: p99 of the best phase", min(p99s), "ms"),
            Figure(f"{what}: p99 of the worst phase", max(p99s), "ms"),
        ]
    return [Figure("p99 beside the sick, of that alone", medians[1] / medians[0], "×", at_most(1.5)), *found]
