"""How well the rate budget is used, and never overspent: by the sandbox's own record of what arrived."""

import statistics
import time
from typing import Final

import orjson

from tests.bench.figures import Figure, Report, at_least, at_most
from tests.bench.leads import changes, contacts, locations
from tests.bench.stage import Failed, Sandbox, Stage, Worker

where: Final = locations(40)
lacking: Final = ("contact_id", "city")  # a search gives both, so no GET is due
lawful_per_s: Final = 9.0  # GHL_REQUESTS_PER_10S
lead_in_s: Final = 10.0  # of each location, not counted
latency_ms: Final = 50.0
begin_within_s: Final = 120.0


def saturation(stage: Stage, quick: bool) -> Report:
    seconds = 30.0 if quick else 60.0
    each = int((lead_in_s + seconds + 20) * lawful_per_s * 10 / 9)  # more than can be asked about
    conditions = [
        f"{len(where)} locations, {each} leads each that lack their contact, one search a lead (HYDRANT_PROBE_SIZE=1)",
        f"the sandbox answers after {latency_ms:.0f} ms and allows 100 calls in any 10 s by its own clock",
        f"use: a location's arrivals in the {seconds:.0f} s that begin {lead_in_s:.0f} s after its first one, of 9 a "
        "second; demand outlasts them",
        "worst window, 429s: all of the run",
    ]
    report = Report("saturation", stage.conditions() + conditions)
    numbers = range(len(where) * each)
    stage.publish(changes(where, numbers, lacking), where)
    with stage.sandbox(contacts(where, numbers), latency_ms) as sandbox:
        with stage.worker(sandbox, HYDRANT_PROBE_SIZE=1) as worker:
            cpu_share = saturated(worker, sandbox, lead_in_s + seconds)
        totals = sandbox.report()["totals"]
        uses = [use(sandbox.arrivals(location), seconds, each) for location in where]
    report.figures += [
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("mean use", statistics.mean(uses) * 100, "%", at_least(98)),
        Figure("least use of a location", min(uses) * 100, "%"),
        Figure("calls in all", sum(uses) * lawful_per_s, "per s"),
        Figure("CPU of the worker meanwhile", cpu_share * 100, "% of a core"),
    ]
    return report


def saturated(worker: Worker, sandbox: Sandbox, seconds: float) -> float:
    """Let it run until every location has been asked about for so long. Returns the worker's share of a core."""
    deadline = time.monotonic() + begin_within_s
    while len(firsts := [one["first_ms"] for one in sandbox.report()["locations"].values()]) < len(where):
        if time.monotonic() > deadline:
            raise Failed(f"only {len(firsts)} of {len(where)} locations began within {begin_within_s:.0f} s")
        worker.check()
        time.sleep(0.5)
    begun, cpu_s = time.monotonic(), worker.cpu_s()
    time.sleep(max(firsts) / 1_000 + seconds + 1 - time.time())
    return (worker.cpu_s() - cpu_s) / (time.monotonic() - begun)


def use(arrivals: list[float], seconds: float, demand: int) -> float:
    """Share of the lawful rate."""
    since = arrivals[0] + lead_in_s * 1_000
    until = since + seconds * 1_000
    if sum(at < until for at in arrivals) >= demand or arrivals[-1] < until - 1_000:
        raise Failed(f"demand ran out: {len(arrivals)} calls of {demand}")
    return sum(since <= at < until for at in arrivals) / (seconds * lawful_per_s)


def probing(stage: Stage, quick: bool) -> Report:
    each = 200 if quick else 500
    numbers = range(len(where) * each)
    conditions = [
        f"{len(where)} locations, {each} leads each that lack contact and city, all in Kafka when the worker starts",
        "default HYDRANT_PROBE_SIZE; the payload gives names as entered, so no GET is due",
    ]
    report = Report("probing", stage.conditions() + conditions)
    stage.publish(changes(where, numbers, lacking), where)
    with stage.sandbox(contacts(where, numbers), latency_ms) as sandbox:
        begun = time.monotonic()
        with stage.worker(sandbox) as worker:
            worker.until(lambda counted: counted.results >= len(numbers), 120, "all leads answered")
            took = time.monotonic() - begun
        told = sandbox.report()
    check(stage, len(numbers))
    totals = told["totals"]
    report.figures += [
        Figure("calls per lead", totals["arrivals"] / len(numbers), "", at_most(0.05)),
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("leads answered", len(numbers) / took, "per s, the worker's start included"),
    ]
    return report


def check(stage: Stage, leads: int) -> None:
    """Each lead has one result, and it is right."""
    results = [orjson.loads(record.value or b"")["data"] for record in stage.read("lead.updates")]
    right = sum(one["outcome"] == "updated" and set(one["changes"]) == set(lacking) for one in results)
    if not leads == len(results) == right == len({one["lead_id"] for one in results}):
        raise Failed(f"{leads} leads have {len(results)} results, of which {right} are right")
