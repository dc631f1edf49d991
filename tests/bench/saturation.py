"""Measure how well the rate budget is used, and that it is never overspent, by the sandbox's own record of arrivals."""

import statistics
import time
from typing import Final

import orjson

from tests.bench.figures import Figure, Report, at_least, at_most
from tests.bench.leads import changes, contacts, locations
from tests.bench.testbed import BenchFailed, Testbed
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess

where: Final = locations(40)
lacking: Final = ("contact_id", "city")  # a search gives both, so no GET is due
lawful_per_s: Final = 9.0  # GHL_REQUESTS_PER_10S
lead_in_s: Final = 10.0  # of each location, not counted
latency_ms: Final = 50.0
begin_within_s: Final = 120.0


def saturation(testbed: Testbed, quick: bool) -> Report:
    seconds = 30.0 if quick else 60.0
    each = int((lead_in_s + seconds + 20) * lawful_per_s * 10 / 9)  # more than there are slots for
    conditions = [
        f"{len(where)} locations, {each} leads each that lack their contact, one search a lead (HYDRANT_PROBE_SIZE=1)",
        f"the sandbox answers after {latency_ms:.0f} ms and allows 100 calls in any 10 s by its own clock",
        f"use: a location's arrivals in the {seconds:.0f} s that begin {lead_in_s:.0f} s after its first one, of 9 a "
        "second; demand outlasts them",
        "worst window, 429s: all of the run",
    ]
    report = Report("saturation", testbed.conditions() + conditions)
    numbers = range(len(where) * each)
    testbed.publish_changes(changes(where, numbers, lacking), where)
    with testbed.sandbox(contacts(where, numbers), latency_ms) as sandbox:
        with testbed.worker(sandbox, HYDRANT_PROBE_SIZE=1) as worker:
            cpu_share = saturated(worker, sandbox, lead_in_s + seconds)
        totals = sandbox.report()["totals"]
        uses = [use(arrival_times(sandbox, location), seconds, each) for location in where]
    report.figures += [
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("mean use", statistics.mean(uses) * 100, "%", at_least(98)),
        Figure("least use of a location", min(uses) * 100, "%"),
        Figure("calls in all", sum(uses) * lawful_per_s, "per s"),
        Figure("CPU of the worker meanwhile", cpu_share * 100, "% of a core"),
    ]
    return report


def saturated(worker: WorkerProcess, sandbox: SandboxProcess, seconds: float) -> float:
    """Let it run until every location has been busy for so long. Return the worker's share of a core."""
    deadline = time.monotonic() + begin_within_s
    while len(firsts := [one["first_ms"] for one in sandbox.report()["locations"].values()]) < len(where):
        if time.monotonic() > deadline:
            raise BenchFailed(f"only {len(firsts)} of {len(where)} locations began within {begin_within_s:.0f} s")
        worker.check()
        time.sleep(0.5)
    begun, cpu_s = time.monotonic(), worker.cpu_s()
    time.sleep(max(firsts) / 1_000 + seconds + 1 - time.time())
    return (worker.cpu_s() - cpu_s) / (time.monotonic() - begun)


def arrival_times(sandbox: SandboxProcess, location: str) -> list[float]:
    """Return when the location's calls came, ms since 1970, refused ones included."""
    return [arrival.at for arrival in sandbox.arrivals(location)]


def use(arrivals: list[float], seconds: float, demand: int) -> float:
    """Return the share of the lawful rate that was used."""
    since = arrivals[0] + lead_in_s * 1_000
    until = since + seconds * 1_000
    if sum(at < until for at in arrivals) >= demand or arrivals[-1] < until - 1_000:
        raise BenchFailed(f"demand ran out: {len(arrivals)} calls of {demand}")
    return sum(since <= at < until for at in arrivals) / (seconds * lawful_per_s)


def probing(testbed: Testbed, quick: bool) -> Report:
    each = 200 if quick else 500
    numbers = range(len(where) * each)
    conditions = [
        f"{len(where)} locations, {each} leads each that lack contact and city, all in Kafka when the worker starts",
        "default HYDRANT_PROBE_SIZE; the payload gives names as entered, so no GET is due",
    ]
    report = Report("probing", testbed.conditions() + conditions)
    testbed.publish_changes(changes(where, numbers, lacking), where)
    with testbed.sandbox(contacts(where, numbers), latency_ms) as sandbox:
        begun = time.monotonic()
        with testbed.worker(sandbox) as worker:
            worker.wait_for_counts(lambda counts: counts.results >= len(numbers), 120, "all leads have results")
            took = time.monotonic() - begun
        totals = sandbox.report()["totals"]
    check(testbed, len(numbers))
    report.figures += [
        Figure("calls per lead", totals["arrivals"] / len(numbers), "", at_most(0.05)),
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("leads answered", len(numbers) / took, "per s, the worker's start included"),
    ]
    return report


def check(testbed: Testbed, leads: int) -> None:
    """Raise BenchFailed unless each lead has one result, and it is right."""
    results = [orjson.loads(record.value or b"")["data"] for record in testbed.records("lead.updates")]
    right = sum(one["outcome"] == "updated" and set(one["changes"]) == set(lacking) for one in results)
    if not leads == len(results) == right == len({one["lead_id"] for one in results}):
        raise BenchFailed(f"{leads} leads have {len(results)} results, of which {right} are right")
