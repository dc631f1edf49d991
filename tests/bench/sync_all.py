"""Measure a Sync All of a whole location: its calls, its wall time, and how soon a person's Sync is answered meanwhile."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Final

import orjson

from tests.bench.figures import Figure, Report, at_most, percentile
from tests.bench.job_checks import check_results, check_summary, check_sums
from tests.bench.jobs import JobHistory, follow, pause_s, sync
from tests.bench.leads import Published
from tests.bench.population import KnownLead, Population, phoneless
from tests.bench.testbed import BenchFailed, Testbed
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess

location: Final = "BenchSyncAllLocation"
usual: Final = 100_000  # leads: what the bars speak of
usual_quick: Final = 20_000
million: Final = 1_000_000
latency_ms: Final = 50.0
lawful_per_s: Final = 9.0  # GHL_REQUESTS_PER_10S
loading_per_s: Final = 500.0  # leads at least
linger_s: Final = 3.0  # after the end: a repeated record comes by then
warm_up: Final = 6  # Syncs, not counted
syncs_at_most: Final = 1_000
fresh_share: Final = 0.5  # of the Syncs: of leads that were never published before


def sync_all(testbed: Testbed, quick: bool) -> Report:
    population = population_of(testbed, quick)
    report = Report("sync_all", testbed.conditions() + describe(population))
    with sandbox_of(testbed, population.contacts) as sandbox, testbed.worker(sandbox) as worker:
        loading_s = load(testbed, worker, population)
        cpu_s, sandbox_cpu_s = worker.cpu_s(), sandbox.cpu_s()
        job = follow(testbed.config, location, worker.check)
        cpu_s, sandbox_cpu_s = worker.cpu_s() - cpu_s, sandbox.cpu_s() - sandbox_cpu_s
        time.sleep(linger_s)
        totals = sandbox.report()["totals"]
    check_summary(job, population, totals["arrivals"], "scan")
    check_results(testbed, population, ["scan"])
    started, end = job.first("sync.started"), job.end
    bar = at_most(90) if population.leads <= usual else None
    report.figures += [
        Figure("calls at the sandbox", totals["arrivals"], "", at_most(population.leads / 400 + 30)),
        Figure("from the request until it is completed", end.after_s, "s", bar),
        Figure("of that until it is started", started.after_s, "s"),
        Figure("calls planned", started.data["calls_planned"]),
        Figure("calls saved, by its own account", end.data["calls_saved"]),
        Figure("one search a lead would take", population.leads / lawful_per_s / 60, "min"),
        Figure("worst 10 s window", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("CPU of the worker during the job", cpu_s, "s"),
        Figure("CPU of the sandbox during the job", sandbox_cpu_s, "s"),
        Figure("loading the leads took before", loading_s, "s"),
    ]
    return report


def sync_all_interactive(testbed: Testbed, quick: bool) -> Report:
    population = population_of(testbed, quick, by_second_email=False)  # a Sync in time would say that there is none
    newcomers = population.newcomers(syncs_at_most)
    conditions = [
        *describe(population),
        f"while the job runs, every {pause_s[0]} to {pause_s[1]} s a Sync of the same location, lane interactive: half of them of "
        "its leads at",
        "random, the others of fresh ones that lack their contact alone; from the request's CreateTime until a read_committed",
        f"reader has its `sync.answered`; the first {warm_up} don't count",
    ]
    report = Report("sync_all_interactive", testbed.conditions() + conditions)
    known = {one.id: one for one in [*population, *newcomers]}
    with sandbox_of(testbed, population.contacts + 2 * syncs_at_most) as sandbox, testbed.worker(sandbox) as worker:
        load(testbed, worker, population)
        job = follow(testbed.config, location, worker.check, syncs(population, newcomers))
        time.sleep(linger_s)
        totals = sandbox.report()["totals"]
    synced = {data["lead_id"] for _, data in job.answered.values()}
    check_sums(job, population, len(synced))
    check_results(testbed, population, ["scan"], synced)
    check_answers(job, known)
    waits = job.waits()[warm_up:]
    if not waits:
        raise BenchFailed("no Sync was published while the job ran: it was too short")
    report.figures += [
        Figure("from a Sync to its answer: p50", percentile(waits, 0.5), "ms", at_most(400)),
        Figure("from a Sync to its answer: p99", percentile(waits, 0.99), "ms", at_most(1_000)),
        Figure("from a Sync to its answer: longest", max(waits), "ms"),
        *spans(testbed, job),
        Figure("Syncs while the job ran", len(waits)),
        Figure("from the job's request until it is completed", job.end.after_s, "s"),
        Figure("calls at the sandbox", totals["arrivals"]),
        Figure("worst 10 s window", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
    ]
    return report


def probe_in_a_million(testbed: Testbed, quick: bool) -> Report:
    population = Population(location, 1_000, million, by_second_email=False)
    conditions = [*describe(population), "a search can't find by a second e-mail: none of them is known by one"]
    report = Report("probe_in_a_million", testbed.conditions() + conditions)
    with sandbox_of(testbed, population.contacts) as sandbox:
        memory = sandbox.memory()
        with testbed.worker(sandbox) as worker:
            load(testbed, worker, population)
            job = follow(testbed.config, location, worker.check)
            time.sleep(linger_s)
        calls = sandbox.call_count()
    check_summary(job, population, calls, "probe")
    check_results(testbed, population, ["search"])
    report.figures += [
        Figure("calls at the sandbox", calls, "", at_most(50)),
        Figure("from the request until it is completed", job.end.after_s, "s"),
        Figure("a scan would take", million / 500, "calls"),
        Figure("RSS of the sandbox with a million contacts", memory.rss, "MiB"),
    ]
    return report


def spans(testbed: Testbed, job: JobHistory) -> list[Figure]:
    """Return where the time of a fresh lead's Sync goes, by its result. (Other leads have been open since the job began.)"""
    counted = [*job.answered][warm_up:]
    results = [orjson.loads(record.value or b"")["data"] for record in testbed.records("lead.updates")]
    timings = [
        data["timings_ms"]
        for data in results
        if [cause.get("request_id") in counted for cause in data["causes"]] == [True]
    ]
    named = {
        "queued": "fresh lead: until its Sync is ingested",
        "permit": "fresh lead: from there until its call is granted",
        "network": "fresh lead: from there until its response is ingested",
    }
    return [
        Figure(f"{what}: p{share * 100:.0f}", percentile([timing[name] for timing in timings], share), "ms")
        for name, what in named.items()
        for share in (0.5, 0.99)
        if timings
    ]


def population_of(testbed: Testbed, quick: bool, by_second_email: bool = True) -> Population:
    leads = testbed.leads or (usual_quick if quick else usual)
    return Population(location, leads, leads, by_second_email)


def describe(population: Population) -> list[str]:
    hours, minutes = divmod(round(population.leads / lawful_per_s / 60), 60)
    return [
        f"{population.leads:,} leads, loaded before, of one location with {population.contacts:,} contacts; they lack contact, names, "
        "company, city,",
        f"state, postal code, time zone (no search shows it), one in {phoneless} the phone; names are shown as entered",
        f"the sandbox answers after {latency_ms:.0f} ms; one search a lead: {population.leads:,} calls, at 90 in 10 s "
        f"{hours} h {minutes} min",
        "checked by what the leads were made from: every lead's result, once, and the summary",
    ]


def sandbox_of(testbed: Testbed, contacts: int) -> AbstractContextManager[SandboxProcess]:
    return testbed.sandbox(latency_ms=latency_ms, options=["--auto-contacts", str(contacts), "--location", location])


def load(testbed: Testbed, worker: WorkerProcess, population: Population) -> float:
    """Publish all leads as recorded only. Return how long it took, s."""
    begun = time.monotonic()
    testbed.publish_changes(population.loading(), [population.location])
    within_s = 60 + population.leads / loading_per_s
    worker.wait_for_counts(
        lambda counts: counts.events >= population.leads, within_s, f"{population.leads:,} leads loaded"
    )
    return time.monotonic() - begun


def syncs(population: Population, newcomers: Sequence[KnownLead]) -> Iterator[Published]:
    draw = Random(0)
    old = draw.sample([one.id for one in population], min(syncs_at_most, population.leads))
    for count, (lead_id, newcomer) in enumerate(zip(old, newcomers, strict=False)):
        if draw.random() < fresh_share:
            yield sync(population.location, newcomer.id, count, newcomer.lead)
        else:
            yield sync(population.location, lead_id, count)


def check_answers(job: JobHistory, known: dict[str, KnownLead]) -> None:
    for _, data in job.answered.values():
        outcome = "updated" if known[data["lead_id"]].changes else "not_found"
        if data["outcome"] not in (outcome, "unchanged"):
            raise BenchFailed(f"a Sync was answered {data['outcome']}, {data['reason']}, instead of {outcome}")
