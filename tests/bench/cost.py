"""Measure the worker's CPU for changes that need no call: state, changelog and transactions included."""

import statistics
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from tests.bench.figures import Figure, Report, at_most
from tests.bench.leads import changes, contacts, locations
from tests.bench.profiled import top
from tests.bench.testbed import BenchFailed, Testbed
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerCounts

where: Final = locations(48)
warm_up: Final = 20_000  # changes: not counted
runs: Final = 3  # the median decides
per: Final = 100_000
patience_s: Final = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    changes: int
    cpu_s: float
    seconds: float
    turns: int

    @property
    def per_100k(self) -> float:
        return self.cpu_s / self.changes * per


def nothing_to_do(testbed: Testbed, quick: bool) -> Report:
    return cost(testbed, quick, "nothing_to_do", lacking=(), bar=5, results_each=0)


def from_state(testbed: Testbed, quick: bool) -> Report:
    return cost(testbed, quick, "from_state", lacking=("contact_id", "city"), bar=9, results_each=1)


def cost(testbed: Testbed, quick: bool, bench: str, lacking: Collection[str], bar: float, results_each: int) -> Report:
    leads, published = (range(20_000), warm_up + 40_000) if quick else (range(100_000), warm_up + 100_000)
    kind = "answered from state, a result each" if results_each else "of complete leads: nothing to do"
    conditions = [
        f"{published - warm_up:,} changes {kind}, after {warm_up:,} to warm up; median of {runs} runs",
        f"{len(leads):,} known leads in {len(where)} locations, in no order, revisions growing; all changes lie in Kafka",
        "when the worker starts; its process's utime + stime, state, changelog and transactions included",
    ]
    report = Report(bench, testbed.conditions() + conditions)
    upstream = changes(where, leads, lacking, count(1))
    with testbed.sandbox(contacts(where, leads if results_each else range(0))) as sandbox:
        testbed.publish_changes(islice(upstream, len(leads)), where)
        with testbed.worker(sandbox) as worker:
            worker.wait_for_counts(lambda counts: counts.events == len(leads), patience_s, "the leads known")
            worker.wait_for_counts(
                lambda counts: counts.results >= len(leads) * results_each, patience_s, "the facts known"
            )
        calls = sandbox.call_count()
        found = []
        for _ in range(runs):
            testbed.publish_changes(islice(upstream, published), where)
            found.append(run(testbed, sandbox, published, results_each))
        report.figures += figures(found, bar)
        testbed.publish_changes(islice(upstream, published), where)
        samples = testbed.folder / "profile"
        with testbed.worker(sandbox, profile=samples) as worker:
            worker.wait_for_counts(
                lambda counts: counts.events == published, patience_s, "the profiled changes ingested"
            )
        report.profile = top(samples, 5)
        if sandbox.call_count() != calls:
            raise BenchFailed(f"{sandbox.call_count() - calls} calls were made, and none is needed")
    return report


def run(testbed: Testbed, sandbox: SandboxProcess, published: int, results_each: int) -> Run:
    with testbed.worker(sandbox) as worker:
        begun = worker.wait_for_counts(lambda counts: counts.events >= warm_up, patience_s, "the warm-up ingested")
        ended = worker.wait_for_counts(lambda counts: counts.events >= published, patience_s, "all changes ingested")
    if (ended.events, ended.results) != (published, published * results_each):
        raise BenchFailed(f"{published:,} changes: {ended.events:,} ingested, {ended.results:,} results")
    if ended.changelog_rows < published:
        raise BenchFailed(f"{published:,} changes: {ended.changelog_rows:,} rows of the changelog")
    return between(begun, ended)


def between(begun: WorkerCounts, ended: WorkerCounts) -> Run:
    return Run(ended.events - begun.events, ended.cpu_s - begun.cpu_s, ended.at - begun.at, ended.turns - begun.turns)


def figures(found: list[Run], bar: float) -> list[Figure]:
    costs = sorted(one.per_100k for one in found)
    return [
        Figure("CPU per 100,000 changes", statistics.median(costs), "s", at_most(bar)),
        Figure("… in the cheapest run", costs[0], "s"),
        Figure("… in the dearest run", costs[-1], "s"),
        Figure("throughput", statistics.median(one.changes / one.seconds for one in found), "changes/s"),
        Figure("changes in a turn", sum(one.changes for one in found) / sum(one.turns for one in found)),
    ]
