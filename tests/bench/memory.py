"""Measure the resident memory of one worker after few leads, and after ten times as many."""

import time
from collections.abc import Iterator
from typing import Final

from tests.bench.figures import Figure, Report, at_most
from tests.bench.leads import Published, change, contacts, locations
from tests.bench.testbed import Testbed
from tests.lab.harness.process import Memory
from tests.lab.harness.worker import WorkerProcess

where: Final = locations(48)
quiet_s: Final = 15.0  # nothing is in flight by then, and status was reported once more
patience_s: Final = 600.0


def memory(testbed: Testbed, quick: bool) -> Report:
    few, many = (5_000, 50_000) if quick else (20_000, 200_000)
    conditions = [
        f"one worker, {len(where)} locations; every other lead lacks contact and city, the rest is complete",
        f"measured {quiet_s:.0f} s after the {few:,}th and the {many:,}th lead was dealt with",
    ]
    report = Report("memory", testbed.conditions() + conditions)
    with testbed.sandbox(contacts(where, range(many))) as sandbox, testbed.worker(sandbox) as worker:
        empty = worker.memory()
        small = after(testbed, worker, range(few), few)
        large = after(testbed, worker, range(few, many), many)
    report.figures += [
        Figure(f"RSS after {many:,} leads, of that after {few:,}", large.rss / small.rss, "×", at_most(1.3)),
        Figure("RSS without leads", empty.rss, "MiB"),
        Figure(f"RSS after {few:,}", small.rss, "MiB"),
        Figure(f"RSS after {many:,}", large.rss, "MiB"),
        Figure(f"USS after {few:,}", small.uss, "MiB"),
        Figure(f"USS after {many:,}", large.uss, "MiB"),
        Figure("peak RSS", large.peak, "MiB"),
    ]
    return report


def after(testbed: Testbed, worker: WorkerProcess, numbers: range, known: int) -> Memory:
    """Publish more leads and measure once all are done: `known` leads then, half of which have a result."""
    testbed.publish_changes(leads(numbers), where)
    worker.wait_for_counts(
        lambda counts: (counts.events, counts.results) == (known, known // 2), patience_s, "all leads done"
    )
    time.sleep(quiet_s)
    return worker.memory()


def leads(numbers: range) -> Iterator[Published]:
    for number in numbers:
        yield change(where[number // 2 % len(where)], number, 1, ("contact_id", "city") if number % 2 else ())
