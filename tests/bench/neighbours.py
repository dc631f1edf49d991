"""What locations notice of sick ones beside them: one that hangs, one whose every call is a 503, one that is throttled."""

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.figures import Figure, Report, at_most, percentile
from tests.bench.latency import check
from tests.bench.leads import Json, Published, change, contacts, event, lead_id, locations
from tests.bench.stage import Failed, Sandbox, Stage
from tests.bench.steady import evenly, spread

neighbours: Final = locations(20)
each_per_s: Final = 2.5  # leads of a neighbour
lacking: Final = ("contact_id",)  # one search gives it
latency_ms: Final = 50.0
settle_s: Final = 5.0  # at the beginning of each phase, not counted
sick: Final[dict[str, Json]] = {  # location → what its every call meets
    "BenchHangs": {"kind": "hang"},
    "BenchUnavailable": {"kind": "status", "status": 503},
    "BenchThrottled": {"kind": "status", "status": 429, "retry_after": "seconds", "retry_after_s": 1},
}
backlog: Final = 500  # leads of a sick location
calls_at_least: Final = 5  # of each sick location in a phase: else it isn't sick but silent


def beside_the_sick(stage: Stage, quick: bool) -> Report:
    rounds, seconds = (2, 10.0) if quick else (4, 20.0)
    conditions = [
        f"{len(neighbours)} neighbours, {each_per_s} leads a second each that lack their contact, evenly: one search a lead",
        f"(HYDRANT_PROBE_SIZE=1), answered after {latency_ms:.0f} ms; beside them three sick locations with {backlog} leads "
        "each to look up:",
        "one hangs, one answers 503, one answers 429 with Retry-After 1 s",
        f"{rounds} times {seconds:.0f} s alone, {rounds} times beside (other sick ones each time), in turns, each after "
        f"{settle_s:.0f} s that don't count",
        "from a change record's CreateTime until a read_committed reader has the result; medians of the phases",
    ]
    report = Report("beside_the_sick", stage.conditions() + conditions)
    each = int((settle_s + seconds) * each_per_s) * len(neighbours)  # leads of a phase
    alone, beside = list[list[float]](), list[list[float]]()
    with stage.sandbox(contacts(neighbours, range(2 * rounds * each)), latency_ms) as sandbox:
        with stage.worker(sandbox, HYDRANT_PROBE_SIZE=1):
            for turn in range(rounds):
                alone.append(phase(stage, 2 * turn * each, seconds))
                places = fall_sick(stage, sandbox, turn, first=2 * rounds * each)
                beside.append(phase(stage, (2 * turn + 1) * each, seconds))
                leave(stage, places, first=2 * rounds * each)
        told = sandbox.report()["locations"]
    silent = [place for place, calls in called(told).items() if min(calls) < calls_at_least]
    if silent:
        raise Failed(f"hardly any call was made for {', '.join(silent)}")
    report.figures += figures(alone, beside)
    report.figures += [
        Figure(f"calls of {place}, a phase", statistics.mean(calls)) for place, calls in called(told).items()
    ]
    return report


def phase(stage: Stage, first: int, seconds: float) -> list[float]:
    """How long the neighbours' leads took, ms."""
    asked = [
        (after_s, change(neighbours[place], first + number, 1, lacking))
        for number, (after_s, place) in enumerate(spread(len(neighbours), each_per_s, settle_s + seconds))
    ]
    answered = asyncio.run(evenly(stage.config, "lead.changes", asked))
    check(answered, {"search": 1})
    return [one.arrived for one, (after_s, _) in zip(answered, asked, strict=True) if after_s >= settle_s]


def fall_sick(stage: Stage, sandbox: Sandbox, turn: int, first: int) -> list[str]:
    """Three new locations with a backlog each. Returns their names."""
    places = {f"{place}{turn}": fault for place, fault in sick.items()}
    sandbox.fail([{**fault, "location": place} for place, fault in places.items()])
    stage.publish(backlogs([*places], first), [*places])
    return [*places]


def backlogs(places: Sequence[str], first: int) -> Iterator[Published]:
    for number in range(first, first + backlog):
        yield from (change(place, number, 1, lacking) for place in places)


def leave(stage: Stage, places: Sequence[str], first: int) -> None:
    """Their leads are deleted, and all work with them: what follows is alone again."""
    stage.publish(deletions(places, first), places)


def deletions(places: Sequence[str], first: int) -> Iterator[Published]:
    for number in range(first, first + backlog):
        for place in places:
            data = {"location_id": place, "lead_id": lead_id(number), "revision": 2}
            yield place, event("lead.deleted", data, place, f"deletion-{number}")


def called(told: Json) -> dict[str, list[int]]:
    """Sick location → calls of each phase."""
    return {place: [told[name]["arrivals"] for name in told if name.startswith(place)] for place in sick}


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
