"""A seeded world with all faults together: workers that come and go, a failing HighLevel, late upstream, and set clocks."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.faults import Day, HighLevelFaults, Refusal
from tests.lab.workload.job_workload import random_job, with_jobs
from tests.lab.workload.lead_kinds import job_outcomes, waiting_kinds
from tests.lab.workload.message import conversations
from tests.lab.workload.publication import JobRequest
from tests.lab.workload.redelivery import redelivered
from tests.lab.workload.times import day_ms
from tests.lab.workload.workload import Workload, locations_at_home
from tests.simulation.faults.clock_steps import ClockStep, draw_small_steps
from tests.simulation.faults.group_faults import as_static_members, draw_group_faults, group_faults_end_ms
from tests.simulation.faults.highlevel_faults import draw_any_outage, draw_refusal
from tests.simulation.world.broker import Faults

from .play import recovery_ms
from .play_group import play_group
from .run import Run, World
from .worker_worlds import networks

apart_ms: Final = 500  # no machine's clock is further off


def everything(seed: int) -> Run:
    """Play leads, jobs and messages over one to three partitions, with faults of every kind."""
    random = Random(f"{seed} everything")
    count, workers = random.choice([1, 2, 3]), random.choice([1, 2, 2, 3])
    among = [location for where in range(count) for location in locations_at_home(random.choice([1, 2]), where, count)]
    day = Day(60, random.choice([40_000, 60_000])) if random.random() < 0.04 else None
    workload = draw_workload(seed, random, among, count, cancels=day is None)
    highlevel = draw_highlevel_faults(random, among, day)
    steps = [
        ClockStep(random.randint(500, group_faults_end_ms), by, random.randrange(workers), apart_ms)
        for by in draw_small_steps(random)
    ]
    world = World(
        Rate(random.choice([22, 90]), *((day.calls, 0.5) if day else ())),
        1 if day else random.choice([1, 2, 50]),
        random.choice(networks),
        highlevel,
        Faults(
            group_faults_end_ms,
            random.choice([0.0, 0.02]),
            random.choice([0.0, 0.1]),
            refused=random.choice([0.0, 0.0, 0.05]),
        ),
        tuple(steps),
        skew_ms=random.choice([0, apart_ms]),
        page_limit=random.choice([5, 12, 30]),
        rest_ms=(highlevel.over + recovery_ms if highlevel.over > 0 else 0) + (day_ms if day else 0),
    )
    faults = draw_group_faults(random, workers)
    return play_group(workload, as_static_members(faults) if random.random() < 0.3 else faults, world)


def draw_workload(seed: int, random: Random, among: Sequence[str], count: int, cancels: bool) -> Workload:
    """Draw leads of any kind, some in jobs, with messages, from an upstream that delivers late and twice."""
    jobs = [random_job(random, number, among) for number in range(random.choice([0, 1, 2, 3]))]
    jobs = [placed(job if cancels else replace(job, cancels=()), random.randrange(count)) for job in jobs]
    kinds = random.choices(list(waiting_kinds), k=random.randint(5, 15)) + random.choices(list(job_outcomes), k=15)
    owned = tuple(range(count))
    workload = with_jobs(seed, kinds, jobs, among, random.choice([0, 20]), owned, count, lasts=30_000)
    most, lasts = random.choice([0, 3, 12]), random.choice([8_000, 40_000])
    messages = conversations(seed, workload.contacts.values(), most, lasts)
    return redelivered(replace(workload, messages=messages), random.choice([0.0, 0.1]), random.choice([0.0, 0.1]))


def placed(job: JobRequest, where: int) -> JobRequest:
    """Publish a request without location to this partition."""
    return replace(job, partition=None if job.location else where)


def draw_highlevel_faults(random: Random, among: Sequence[str], day: Day | None) -> HighLevelFaults:
    outages = [draw_any_outage(random, among) for _ in range(random.choice([0, 1, 1, 2]))]
    refusals: list[Refusal] = []
    if random.random() < 0.25:
        refusals.append(draw_refusal(random, random.choice(among)))
    return HighLevelFaults(
        group_faults_end_ms,
        random.choice([0.0, 0.05]),
        random.choice([0.0, 0.03]),
        random.choice([0.0, 0.03]),
        tuple(outages),
        tuple(refusals),
        frozenset(random.sample(among, random.random() < 0.1)),
        day,
    )
