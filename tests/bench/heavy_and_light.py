"""Measure a flood of leads that each need a look-up, most of them in few locations.

It must be done at the budget's pace, and the many must not hold up the few. While a second worker joins, and while one is
killed, no call may be too many, and no result lost or twice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import orjson

from tests.bench.figures import Figure, Report, at_most, percentile
from tests.bench.leads import changes, contacts, locations
from tests.bench.testbed import BenchFailed, Testbed, partitions
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess

of_heavy: Final = 270  # leads; at 9 calls a second they take 30 s
of_light: Final = 10
lacking: Final = ("contact_id",)  # one search gives it, so no GET is due
latency_ms: Final = 50.0
disturb_after_s: Final = 4.0  # of the flood
first_look_s: Final = 28.0  # a heavy location can't be done before, and looking costs CPU
look_every_s: Final = 1.0
linger_s: Final = 3.0  # after the last result: what comes twice comes by then
patience_s: Final = 150.0


@dataclass(frozen=True, slots=True)
class Locations:
    heavy: Sequence[str]
    light: Sequence[str]

    @property
    def where(self) -> list[str]:
        """Return the location of each lead, by the lead's number."""
        heavy = [location for location in self.heavy for _ in range(of_heavy)]
        return heavy + [location for location in self.light for _ in range(of_light)]


@dataclass(frozen=True, slots=True)
class LeadResult:
    """Hold a result. Times are CreateTimes in ms: its event's, and its own before its transaction is committed."""

    cause: str  # the id of its event
    requested_ms: int
    published_ms: int
    data: Mapping[str, Any]

    @property
    def waited_s(self) -> float:
        return (self.published_ms - self.requested_ms) / 1_000


def heavy_and_light(testbed: Testbed, quick: bool) -> Report:
    places = choose_locations(quick)
    conditions = [*describe(places), "one worker, ready and without any state before the first record is published"]
    report = Report("heavy_and_light", testbed.conditions() + conditions)
    with sandbox_of(testbed, places) as sandbox:
        with ready(testbed, sandbox) as worker:
            cpu_s = worker.cpu_s()
            flood(testbed, places)
            found = results(testbed, places)
            cpu_s = worker.cpu_s() - cpu_s
        report.figures += [Figure("all done after", took_s(found), "s", at_most(32)), *waits(places, found)]
        report.figures += invariants(places, found, sandbox.report()["totals"])
        report.figures += [Figure("CPU of the worker", cpu_s, "s"), *spans(places, found)]
    return report


def worker_joins(testbed: Testbed, quick: bool) -> Report:
    def join(sandbox: SandboxProcess, workers: ExitStack, first: WorkerProcess) -> None:
        workers.enter_context(second_one(testbed, sandbox))

    return disturbed(
        testbed, choose_locations(quick), "worker_joins", "a second worker, without any state, joins", join
    )


def worker_killed(testbed: Testbed, quick: bool) -> Report:
    def restart(sandbox: SandboxProcess, workers: ExitStack, first: WorkerProcess) -> None:
        first.kill()
        workers.enter_context(ready(testbed, sandbox))

    what = "the only worker gets SIGKILL and is started again at once, in the same state folder"
    return disturbed(testbed, choose_locations(quick), "worker_killed", what, restart)


def one_of_two_killed(testbed: Testbed, quick: bool) -> Report:
    def kill(sandbox: SandboxProcess, workers: ExitStack, first: WorkerProcess) -> None:
        first.kill()

    return disturbed(
        testbed, choose_locations(quick), "one_of_two_killed", "one of two workers gets SIGKILL", kill, second=True
    )


def disturbed(
    testbed: Testbed,
    places: Locations,
    bench: str,
    what: str,
    disturb: Callable[[SandboxProcess, ExitStack, WorkerProcess], None],
    second: bool = False,
) -> Report:
    conditions = [*describe(places), f"{disturb_after_s:.0f} s after the last record was published, {what}"]
    report = Report(bench, testbed.conditions() + conditions)
    with sandbox_of(testbed, places) as sandbox:
        with ExitStack() as running:
            first = running.enter_context(ready(testbed, sandbox))
            if second:
                running.enter_context(second_one(testbed, sandbox))
            published = flood(testbed, places)
            time.sleep(max(0.0, published + disturb_after_s - time.monotonic()))
            disturb(sandbox, running, first)
            found = results(testbed, places)
        report.figures += invariants(places, found, sandbox.report()["totals"])
        report.figures += [
            Figure("all done after", took_s(found), "s"),
            Figure("longest silence", silence_s(found), "s"),
        ]
    return report


def choose_locations(quick: bool) -> Locations:
    named = locations(40 if quick else 200)
    heavy = len(named) // 10
    return Locations(named[:heavy], named[heavy:])


def describe(places: Locations) -> list[str]:
    leads = len(places.where)
    return [
        f"{leads:,} leads, shuffled: {len(places.heavy)} heavy locations of {of_heavy}, {len(places.light)} light ones of "
        f"{of_light}",
        "each lacks its contact alone: one search a lead (HYDRANT_PROBE_SIZE=1), at 9 a second 30 s of a heavy location's",
        f"published as fast as Kafka takes them; the sandbox answers after {latency_ms:.0f} ms, allows 100 calls in any 10 s",
        "waits: from the CreateTime of a lead's record to that of its result's; windows: by the sandbox's clock",
    ]


def sandbox_of(testbed: Testbed, places: Locations) -> AbstractContextManager[SandboxProcess]:
    return testbed.sandbox(contacts(places.where, range(len(places.where))), latency_ms)


def ready(
    testbed: Testbed, sandbox: SandboxProcess, name: str = "worker", opens: int = partitions
) -> AbstractContextManager[WorkerProcess]:
    return testbed.worker(sandbox, name=name, opens=opens, HYDRANT_PROBE_SIZE=1)


def second_one(testbed: Testbed, sandbox: SandboxProcess) -> AbstractContextManager[WorkerProcess]:
    """Start a worker with half of the partitions and a state folder of its own, as if on another machine."""
    return ready(testbed, sandbox, "second", partitions // 2)


def flood(testbed: Testbed, places: Locations) -> float:
    """Publish all changes. Return when Kafka had taken the last one, monotonic s."""
    # made first, so that making them slows nothing down
    made = list(changes(places.where, range(len(places.where)), lacking))
    testbed.publish_changes(made, places.where)
    return time.monotonic()


def results(testbed: Testbed, places: Locations) -> list[LeadResult]:
    """Wait for a result of each lead, and a while longer. What isn't there after that is lost."""
    deadline, leads = time.monotonic() + patience_s, len(places.where)
    time.sleep(first_look_s)
    while len({one.cause for one in read(testbed)}) < leads and time.monotonic() < deadline:
        time.sleep(look_every_s)
    time.sleep(linger_s)
    if not (found := read(testbed)):
        raise BenchFailed(f"there is no result at all after {patience_s:.0f} s")
    return found


def read(testbed: Testbed) -> list[LeadResult]:
    created_ms = {orjson.loads(one.value or b"")["id"]: one.timestamp_ms for one in testbed.records("lead.changes")}
    found = []
    for record in testbed.records("lead.updates"):
        data = orjson.loads(record.value or b"")["data"]
        if (data["outcome"], [*data["changes"]]) != ("updated", [*lacking]):
            raise BenchFailed(f"a result is {data['outcome']}, {data['reason']}, and changes {[*data['changes']]}")
        causes = [cause["id"] for cause in data["causes"]]
        found += [LeadResult(cause, created_ms[cause], record.timestamp_ms, data) for cause in causes]
    return found


def invariants(places: Locations, found: Sequence[LeadResult], totals: Mapping[str, int]) -> list[Figure]:
    """Return the figures that must hold in any case."""
    done = {result.cause for result in found}
    return [
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("leads without a result", len(places.where) - len(done), "", at_most(0)),
        Figure("changes answered twice", len(found) - len(done), "", at_most(0)),
        Figure("calls per lead", totals["arrivals"] / len(places.where)),
    ]


def waits(places: Locations, found: Sequence[LeadResult]) -> list[Figure]:
    waited = [one.waited_s for one in of_the_light(places, found)]
    return [
        Figure("light locations' leads: p50", percentile(waited, 0.5), "s", at_most(0.8)),
        Figure("light locations' leads: p99", percentile(waited, 0.99), "s", at_most(1.5)),
    ]


def spans(places: Locations, found: Sequence[LeadResult]) -> list[Figure]:
    """Return where the light locations' leads spend their time, as their results report it."""
    named = {
        "queued": "until it is ingested",
        "permit": "from there until its call is granted",
        "network": "from there until its response is ingested, the grant's commit included",
    }
    figures = []
    for name, what in named.items():
        took = [one.data["timings_ms"][name] / 1_000 for one in of_the_light(places, found)]
        figures += [Figure(f"{what}: p{share * 100:.0f}", percentile(took, share), "s") for share in (0.5, 0.99)]
    return figures


def of_the_light(places: Locations, found: Sequence[LeadResult]) -> list[LeadResult]:
    light = {*places.light}
    return [one for one in found if one.data["location_id"] in light]


def took_s(found: Sequence[LeadResult]) -> float:
    return (max(one.published_ms for one in found) - min(one.requested_ms for one in found)) / 1_000


def silence_s(found: Sequence[LeadResult]) -> float:
    """Return the longest time without any result."""
    at = sorted(one.published_ms for one in found)
    return max(after - before for before, after in pairwise(at)) / 1_000
