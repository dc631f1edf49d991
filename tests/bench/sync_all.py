"""Sync All of a whole location: its calls, its wall time, and how soon a person's Sync there is answered meanwhile."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Final

import orjson

from tests.bench.crowd import Crowd, Told, phoneless
from tests.bench.figures import Figure, Report, at_most, percentile
from tests.bench.jobs import Course, follow, pause_s, sync
from tests.bench.leads import Published
from tests.bench.outcome import check_results, check_summary, check_sums
from tests.bench.stage import Failed, Sandbox, Stage, Worker

location: Final = "BenchSyncAllLocation"
usual: Final = 100_000  # leads: what the bars speak of
usual_quick: Final = 20_000
million: Final = 1_000_000
latency_ms: Final = 50.0
lawful_per_s: Final = 9.0  # GHL_REQUESTS_PER_10S
loading_per_s: Final = 500.0  # leads at least
linger_s: Final = 3.0  # after the end: what comes twice comes by then
warm_up: Final = 6  # Syncs, not counted
syncs_at_most: Final = 1_000
fresh_share: Final = 0.5  # of the Syncs: of leads that nobody told of before


def sync_all(stage: Stage, quick: bool) -> Report:
    crowd = crowd_of(stage, quick)
    report = Report("sync_all", stage.conditions() + told_of(crowd))
    with sandbox_of(stage, crowd.contacts) as sandbox, stage.worker(sandbox) as worker:
        loading_s = load(stage, worker, crowd)
        cpu_s, sandbox_cpu_s = worker.cpu_s(), sandbox.cpu_s()
        course = follow(stage.config, location, worker.check)
        cpu_s, sandbox_cpu_s = worker.cpu_s() - cpu_s, sandbox.cpu_s() - sandbox_cpu_s
        time.sleep(linger_s)
        totals = sandbox.report()["totals"]
    check_summary(course, crowd, totals["arrivals"], "scan")
    check_results(stage, crowd, ["scan"])
    started, end = course.first("sync.started"), course.end
    bar = at_most(90) if crowd.leads <= usual else None
    report.figures += [
        Figure("calls at the sandbox", totals["arrivals"], "", at_most(crowd.leads / 400 + 30)),
        Figure("from the request until it is completed", end.after_s, "s", bar),
        Figure("of that until it is started", started.after_s, "s"),
        Figure("calls planned", started.data["calls_planned"]),
        Figure("calls saved, by its own account", end.data["calls_saved"]),
        Figure("one search a lead would take", crowd.leads / lawful_per_s / 60, "min"),
        Figure("worst 10 s window", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("CPU of the worker during the job", cpu_s, "s"),
        Figure("CPU of the sandbox during the job", sandbox_cpu_s, "s"),
        Figure("loading the leads took before", loading_s, "s"),
    ]
    return report


def sync_all_interactive(stage: Stage, quick: bool) -> Report:
    crowd = crowd_of(stage, quick, by_second_email=False)  # a Sync in time would say that there is none
    newcomers = crowd.newcomers(syncs_at_most)
    conditions = [
        *told_of(crowd),
        f"while the job runs, every {pause_s[0]} to {pause_s[1]} s a Sync of the same location, lane interactive: half of them of "
        "its leads at",
        "random, the others of fresh ones that lack their contact alone; from the request's CreateTime until a read_committed",
        f"reader has its `sync.answered`; the first {warm_up} don't count",
    ]
    report = Report("sync_all_interactive", stage.conditions() + conditions)
    known = {one.id: one for one in [*crowd, *newcomers]}
    with sandbox_of(stage, crowd.contacts + 2 * syncs_at_most) as sandbox, stage.worker(sandbox) as worker:
        load(stage, worker, crowd)
        course = follow(stage.config, location, worker.check, syncs(crowd, newcomers))
        time.sleep(linger_s)
        totals = sandbox.report()["totals"]
    synced = {data["lead_id"] for _, data in course.answered.values()}
    check_sums(course, crowd, len(synced))
    check_results(stage, crowd, ["scan"], synced)
    check_answers(course, known)
    waits = course.waits()[warm_up:]
    if not waits:
        raise Failed("no Sync was asked for while the job ran: it was too short")
    report.figures += [
        Figure("from a Sync to its answer: p50", percentile(waits, 0.5), "ms", at_most(400)),
        Figure("from a Sync to its answer: p99", percentile(waits, 0.99), "ms", at_most(1_000)),
        Figure("from a Sync to its answer: longest", max(waits), "ms"),
        *spans(stage, course),
        Figure("Syncs while the job ran", len(waits)),
        Figure("from the job's request until it is completed", course.end.after_s, "s"),
        Figure("calls at the sandbox", totals["arrivals"]),
        Figure("worst 10 s window", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
    ]
    return report


def probe_in_a_million(stage: Stage, quick: bool) -> Report:
    crowd = Crowd(location, 1_000, million, by_second_email=False)
    conditions = [*told_of(crowd), "a search can't find by a second e-mail: none of them is known by one"]
    report = Report("probe_in_a_million", stage.conditions() + conditions)
    with sandbox_of(stage, crowd.contacts) as sandbox:
        memory = sandbox.memory()
        with stage.worker(sandbox) as worker:
            load(stage, worker, crowd)
            course = follow(stage.config, location, worker.check)
            time.sleep(linger_s)
        calls = sandbox.calls()
    check_summary(course, crowd, calls, "probe")
    check_results(stage, crowd, ["search"])
    report.figures += [
        Figure("calls at the sandbox", calls, "", at_most(50)),
        Figure("from the request until it is completed", course.end.after_s, "s"),
        Figure("a scan would take", million / 500, "calls"),
        Figure("RSS of the sandbox with a million contacts", memory.rss, "MiB"),
    ]
    return report


def spans(stage: Stage, course: Course) -> list[Figure]:
    """Where the time of a fresh lead's Sync goes, as its result says. (Other leads' have been open since the job began.)"""
    counted = [*course.answered][warm_up:]
    results = [orjson.loads(record.value or b"")["data"] for record in stage.read("lead.updates")]
    told = [
        data["timings_ms"]
        for data in results
        if [cause.get("request_id") in counted for cause in data["causes"]] == [True]
    ]
    named = {
        "queued": "fresh lead: until its Sync is heard",
        "permit": "fresh lead: from there until its call is granted",
        "network": "fresh lead: from there until its answer is heard",
    }
    return [
        Figure(f"{what}: p{share * 100:.0f}", percentile([one[name] for one in told], share), "ms")
        for name, what in named.items()
        for share in (0.5, 0.99)
        if told
    ]


def crowd_of(stage: Stage, quick: bool, by_second_email: bool = True) -> Crowd:
    leads = stage.leads or (usual_quick if quick else usual)
    return Crowd(location, leads, leads, by_second_email)


def told_of(crowd: Crowd) -> list[str]:
    hours, minutes = divmod(round(crowd.leads / lawful_per_s / 60), 60)
    return [
        f"{crowd.leads:,} leads, loaded before, of one location with {crowd.contacts:,} contacts; they lack contact, names, "
        "company, city,",
        f"state, postal code, time zone (no search shows it), one in {phoneless} the phone; names are shown as entered",
        f"the sandbox answers after {latency_ms:.0f} ms; one search a lead: {crowd.leads:,} calls, at 90 in 10 s "
        f"{hours} h {minutes} min",
        "checked by what the leads were made from: every lead's result, once, and the summary",
    ]


def sandbox_of(stage: Stage, contacts: int) -> AbstractContextManager[Sandbox]:
    return stage.sandbox(latency_ms=latency_ms, options=["--auto-contacts", str(contacts), "--location", location])


def load(stage: Stage, worker: Worker, crowd: Crowd) -> float:
    """Returns how long it took, s."""
    begun = time.monotonic()
    stage.publish(crowd.loading(), [crowd.location])
    within_s = 60 + crowd.leads / loading_per_s
    worker.until(lambda counted: counted.heard >= crowd.leads, within_s, f"{crowd.leads:,} leads loaded")
    return time.monotonic() - begun


def syncs(crowd: Crowd, newcomers: Sequence[Told]) -> Iterator[Published]:
    draw = Random(0)
    old = draw.sample([one.id for one in crowd], min(syncs_at_most, crowd.leads))
    for count, (lead_id, newcomer) in enumerate(zip(old, newcomers, strict=False)):
        if draw.random() < fresh_share:
            yield sync(crowd.location, newcomer.id, count, newcomer.lead)
        else:
            yield sync(crowd.location, lead_id, count)


def check_answers(course: Course, known: dict[str, Told]) -> None:
    for _, data in course.answered.values():
        outcome = "updated" if known[data["lead_id"]].changes else "not_found"
        if data["outcome"] not in (outcome, "unchanged"):
            raise Failed(f"a Sync was answered {data['outcome']}, {data['reason']}, instead of {outcome}")
