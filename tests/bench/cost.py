"""What a change costs that needs no call: CPU of the worker, state, changelog and transactions included."""

import statistics
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from tests.bench.figures import Figure, Report, at_most
from tests.bench.leads import changes, contacts, locations
from tests.bench.profiled import top
from tests.bench.stage import Counted, Failed, Sandbox, Stage

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


def nothing_to_do(stage: Stage, quick: bool) -> Report:
    return cost(stage, quick, "nothing_to_do", lacking=(), bar=5, results_each=0)


def from_state(stage: Stage, quick: bool) -> Report:
    return cost(stage, quick, "from_state", lacking=("contact_id", "city"), bar=9, results_each=1)


def cost(stage: Stage, quick: bool, bench: str, lacking: Collection[str], bar: float, results_each: int) -> Report:
    leads, published = (range(20_000), warm_up + 40_000) if quick else (range(100_000), warm_up + 100_000)
    kind = "answered from state, a result each" if results_each else "of complete leads: nothing to do"
    conditions = [
        f"{published - warm_up:,} changes {kind}, after {warm_up:,} to warm up; median of {runs} runs",
        f"{len(leads):,} known leads in {len(where)} locations, in no order, revisions growing; all changes lie in Kafka",
        "when the worker starts; its process's utime + stime, state, changelog and transactions included",
    ]
    report = Report(bench, stage.conditions() + conditions)
    upstream = changes(where, leads, lacking, count(1))
    with stage.sandbox(contacts(where, leads if results_each else range(0))) as sandbox:
        stage.publish(islice(upstream, len(leads)), where)
        with stage.worker(sandbox) as worker:
            worker.until(lambda counted: counted.heard == len(leads), patience_s, "the leads known")
            worker.until(lambda counted: counted.results >= len(leads) * results_each, patience_s, "the facts learned")
        calls = sandbox.calls()
        found = []
        for _ in range(runs):
            stage.publish(islice(upstream, published), where)
            found.append(run(stage, sandbox, published, results_each))
        report.figures += figures(found, bar)
        stage.publish(islice(upstream, published), where)
        samples = stage.folder / "profile"
        with stage.worker(sandbox, profile=samples) as worker:
            worker.until(lambda counted: counted.heard == published, patience_s, "the profiled changes heard")
        report.profile = top(samples, 5)
        if sandbox.calls() != calls:
            raise Failed(f"{sandbox.calls() - calls} calls were made, and none is needed")
    return report


def run(stage: Stage, sandbox: Sandbox, published: int, results_each: int) -> Run:
    with stage.worker(sandbox) as worker:
        begun = worker.until(lambda counted: counted.heard >= warm_up, patience_s, "the warm-up heard")
        ended = worker.until(lambda counted: counted.heard >= published, patience_s, "all changes heard")
    if (ended.heard, ended.results) != (published, published * results_each):
        raise Failed(f"{published:,} changes: {ended.heard:,} heard, {ended.results:,} results")
    if ended.rows < published:
        raise Failed(f"{published:,} changes: {ended.rows:,} rows of the changelog")
    return between(begun, ended)


def between(begun: Counted, ended: Counted) -> Run:
    return Run(ended.heard - begun.heard, ended.cpu_s - begun.cpu_s, ended.at - begun.at, ended.turns - begun.turns)


def figures(found: list[Run], bar: float) -> list[Figure]:
    costs = sorted(one.per_100k for one in found)
    return [
        Figure("CPU per 100,000 changes", statistics.median(costs), "s", at_most(bar)),
        Figure("… in the cheapest run", costs[0], "s"),
        Figure("… in the dearest run", costs[-1], "s"),
        Figure("throughput", statistics.median(one.changes / one.seconds for one in found), "changes/s"),
        Figure("changes in a turn", sum(one.changes for one in found) / sum(one.turns for one in found)),
    ]
