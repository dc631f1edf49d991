"""Whether a job's memory grows with its leads: resident memory of a worker while it syncs few of them, and many."""

import time
from typing import Final

from tests.bench.crowd import Crowd
from tests.bench.figures import Figure, Report, at_most
from tests.bench.jobs import follow
from tests.bench.outcome import check_summary
from tests.bench.stage import Memory, Stage, Worker
from tests.bench.sync_all import load

few: Final = 10_000
usual: Final = 300_000  # the bar speaks of a million; that takes a quarter of an hour
usual_quick: Final = 50_000
settle_s: Final = 5.0


def job_memory(stage: Stage, quick: bool) -> Report:
    many = stage.leads or (usual_quick if quick else usual)
    conditions = [
        f"Sync Alls of {few:,} and of {many:,} leads by scan, as in sync_all; the bar speaks of 1,000,000: --leads 1000000",
        "each by a worker started after its leads were loaded, with the state of the one that loaded them",
        "RSS: the most seen while the job ran, looked at twice a second",
    ]
    report = Report("job_memory", stage.conditions() + conditions)
    rest_few, small, _ = during(stage, Crowd("BenchFewLeads", few, few))
    rest_many, large, took_s = during(stage, Crowd("BenchManyLeads", many, many))
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


def during(stage: Stage, crowd: Crowd) -> tuple[Memory, Memory, float]:
    """Before the job, and at its most; and how long the job took, s."""
    options = ["--auto-contacts", str(crowd.contacts), "--location", crowd.location]
    with stage.sandbox(options=options) as sandbox:
        with stage.worker(sandbox) as worker:
            load(stage, worker, crowd)
        with stage.worker(sandbox) as worker:
            time.sleep(settle_s)
            before, seen = worker.memory(), list[Memory]()
            course = follow(stage.config, crowd.location, lambda: seen.append(look(worker)))
        check_summary(course, crowd, sandbox.calls(), "scan")
    most = Memory(*(max(getattr(one, name) for one in seen) for name in ("rss", "uss", "peak")))
    return before, most, course.end.after_s


def look(worker: Worker) -> Memory:
    worker.check()
    return worker.memory()
