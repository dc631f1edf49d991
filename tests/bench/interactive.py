"""Measure how soon a person's Sync gets its slot while the location's changes want every slot, and whether slots go unused."""

import asyncio
import statistics
from typing import Final

from tests.bench.figures import Figure, Report, at_least, at_most, percentile
from tests.bench.latency import check
from tests.bench.leads import changes, contacts, locations, sync
from tests.bench.saturation import arrival_times, lead_in_s, use
from tests.bench.steady import evenly, spread
from tests.bench.testbed import Testbed

where: Final = locations(6)
lacking: Final = ("contact_id",)  # one search gives it
syncs_per_s: Final = 4.5  # of a location: half of the budget
lawful_per_s: Final = 9.0
latency_ms: Final = 50.0


def interactive(testbed: Testbed, quick: bool) -> Report:
    seconds = 20.0 if quick else 60.0
    backlog = len(where) * int((seconds + 3 * lead_in_s) * lawful_per_s)  # changes: more than there are slots for
    conditions = [
        f"{len(where)} locations, each with {backlog // len(where)} leads to look up, one search a lead (HYDRANT_PROBE_SIZE=1)",
        f"and with {syncs_per_s} Syncs a second, lane interactive, each of a fresh lead that lacks its contact, evenly",
        f"the sandbox answers after {latency_ms:.0f} ms; permit: `timings_ms.permit` of the Syncs' results",
        f"use: arrivals at the sandbox in {seconds:.0f} s, of 9 a second; Syncs: of the same time; a window before and one "
        "after don't count",
    ]
    report = Report("interactive", testbed.conditions() + conditions)
    syncs = list(spread(len(where), syncs_per_s, seconds + 2 * lead_in_s))
    known = range(backlog + len(syncs))
    with testbed.sandbox(contacts(where, known), latency_ms) as sandbox, testbed.worker(sandbox, HYDRANT_PROBE_SIZE=1):
        testbed.publish_changes(changes(where, range(backlog), lacking), where)
        events = [(after_s, sync(where[place], backlog + n, lacking)) for n, (after_s, place) in enumerate(syncs)]
        results = asyncio.run(evenly(testbed.config, "sync.requests", events))
        totals = sandbox.report()["totals"]
        arrivals = {location: arrival_times(sandbox, location) for location in where}
    check(results, {"search": 1})
    counted = [
        one for one, (after_s, _) in zip(results, events, strict=True) if lead_in_s <= after_s < lead_in_s + seconds
    ]
    permits = [float(one.result["timings_ms"]["permit"]) for one in counted]
    demand = (backlog + len(syncs)) // len(where)
    uses = [use(arrivals[location], seconds, demand) for location in where]
    report.figures += [
        Figure("a Sync waits for its slot: p50", percentile(permits, 0.5), "ms"),
        Figure("a Sync waits for its slot: p99", percentile(permits, 0.99), "ms", at_most(400)),
        Figure("a Sync waits for its slot: longest", max(permits), "ms"),
        Figure("mean use of a location's 90 calls in 10 s", statistics.mean(uses) * 100, "%", at_least(98)),
        Figure("least use of a location", min(uses) * 100, "%"),
        Figure("from a Sync to its result: p50", percentile([one.arrived for one in counted], 0.5), "ms"),
        Figure("from a Sync to its result: p99", percentile([one.arrived for one in counted], 0.99), "ms"),
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
    ]
    return report
