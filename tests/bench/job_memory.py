"""Measure the resident memory of a worker while it syncs few leads, and while it syncs many."""

import time
from typing import Final

from tests.bench.figures import Figure, Report, at_most
from tests.bench.job_checks import check_summary
from tests.bench.jobs import follow
from tests.bench.population import Population
from tests.bench.sync_all import load
from tests.bench.testbed import Testbed
from tests.lab.harness.process import Memory
from tests.lab.harness.worker import WorkerProcess

few: Final = 10_000
usual: Final = 300_000  # the bar speaks of a million; that takes a quarter of an hour
usual_quick: Final = 50_000
quiet_s: Final = 5.0


def job_memory(testbed: Testbed, quick: bool) -> Report:
    many = testbed.leads or (usual_quick if quick else usual)
    conditions = [
        f"Sync Alls of {few:,} and of {many:,} leads by scan, as in sync_all; the bar speaks of 1,000,000: --leads 1000000",
        "each by a worker started after its leads were loaded, with the state of the one that loaded them",
        "RSS: the most seen while the job ran, looked at twice a second",
    ]
    report = Report("job_memory", testbed.conditions() + conditions)
    rest_few, small, _ = during(testbed, Population("BenchFewLeads", few, few))
    rest_many, large, took_s = during(testbed, Population("BenchManyLeads", many, many))
    report.figures += [
        Figure(f"RSS during {many:,} leads, of that during {few:,}", large.rss / small.rss, "×", at_most(1.25)),
        Figure(f"RSS during {few:,}", small.rss, "MiB"),
        Figure(f"RSS during {many:,}", large.rss, "MiB"),
        Figure(f"RSS before {few:,}", rest_few.rss, "MiB"),
        Figure(f"RSS before {many:,}", rest_many.rss, "MiB"),
        Figure(f"USS during {few:,}", small.uss, "MiB"),
        Figure(f"USS during {many:,}", large.uss, "MiB"),
        Figure(f"the job of {many:,} took", took_s, "s"),
    ]
    return report


def during(testbed: Testbed, population: Population) -> tuple[Memory, Memory, float]:
    """Return the memory before the job, the most during it, and how long the job took, s."""
    options = ["--auto-contacts", str(population.contacts), "--location", population.location]
    with testbed.sandbox(options=options) as sandbox:
        with testbed.worker(sandbox) as worker:
            load(testbed, worker, population)
        with testbed.worker(sandbox) as worker:
            time.sleep(quiet_s)
            before, seen = worker.memory(), list[Memory]()
            job = follow(testbed.config, population.location, lambda: seen.append(measure(worker)))
        check_summary(job, population, sandbox.call_count(), "scan")
    most = Memory(*(max(getattr(one, name) for one in seen) for name in ("rss", "uss", "peak")))
    return before, most, job.end.after_s


def measure(worker: WorkerProcess) -> Memory:
    worker.check()
    return worker.memory()
