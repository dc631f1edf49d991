"""Seeded worlds of jobs: Sync Alls and backfills over leads that wait for them, beside leads that change."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.faults import Day, HighLevelFaults, Outage
from tests.lab.workload.job_workload import changing, prompt, random_job, random_jobs, still, with_jobs
from tests.lab.workload.lead_kinds import job_outcomes, waiting_kinds
from tests.lab.workload.publication import JobRequest, idle_cancels
from tests.lab.workload.times import day_ms
from tests.lab.workload.workload import locations_at_home, partition
from tests.simulation.faults.group_faults import draw_group_faults, group_faults_end_ms
from tests.simulation.faults.kills import draw_kill
from tests.simulation.world.broker import Faults
from tests.simulation.world.network import Network

from .play import play
from .play_group import play_group
from .run import Run, World
from .worker_worlds import faults_end_ms

networks_of_jobs: Final = (Network(), Network(out=(5, 2_000), back=(5, 500)))
small_world: Final = World(Rate(90), 1, page_limit=6)  # pages, and leads in a turn
slow_world: Final = World(Rate(22), 1, page_limit=5)  # a scan takes seconds


def jobs(seed: int) -> Run:
    """Play jobs with one worker at a time, which may die, and up to three locations."""
    random = Random(f"{seed} jobs")
    among = locations_at_home(random.choice([1, 2, 3]), partition)
    requests = random_jobs(random, among, random.choice([1, 2, 2, 3, 4]))
    kinds = random.choices(list(waiting_kinds), k=random.choice([15, 40])) + random.choices(list(job_outcomes), k=12)
    workload = with_jobs(seed, kinds, requests, among, random.choice([0, 20, 60]))
    idle = tuple(idle_cancels(random.randint(0, 9_000), among[0], partition))
    kills = [draw_kill(random) for _ in range(random.choice([0, 0, 1, 2]))]
    unknown = 0.0 if any(kill.how == "stalls" for kill in kills) else random.choice([0.0, 0.03])
    return play(replace(workload, misrouted=idle), kills, draw_job_world(random, among, unknown))


def draw_job_world(random: Random, among: Sequence[str], unknown: float) -> World:
    outage = Outage(random.randint(1_000, 9_000), random.choice([3_000, 20_000]), random.choice([None, *among]))
    faults = HighLevelFaults(
        faults_end_ms,
        random.choice([0.0, 0.0, 0.1]),
        random.choice([0.0, 0.0, 0.05]),
        random.choice([0.0, 0.0, 0.03]),
        outages=(outage,) if random.random() < 0.2 else (),
        cursors_refused=frozenset(random.sample(among, random.random() < 0.1)),
    )
    return World(
        Rate(random.choice([22, 90])),
        random.choice([1, 2, 4, 50]),
        random.choice(networks_of_jobs),
        faults,
        Faults(faults_end_ms, unknown, random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 400]),
        page_limit=random.choice([5, 12, 30]),
    )


def spent_day(seed: int) -> Run:
    """Play a day with fewer calls than the jobs and the other leads need, and the day after it."""
    random = Random(f"{seed} spent")
    among = locations_at_home(random.choice([1, 2]), partition)
    requests = [replace(job, cancels=()) for job in random_jobs(random, among, random.choice([1, 2]))]
    kinds = random.choices([*still, *changing], k=40) + random.choices(prompt, k=8)
    workload = with_jobs(seed, kinds, requests, among, random.choice([0, 60]), raw=0.0)  # names cost a GET each
    calls = random.choice([40, 60])
    day = Day(calls, random.choice([30_000, 60_000, 600_000]), has_headers=random.random() < 0.8)
    rate = Rate(90, calls, random.choice([0.2, 0.4]))
    kills = [replace(draw_kill(random), how="dies") for _ in range(random.choice([0, 0, 1]))]
    faults = HighLevelFaults(day=day)
    world = World(rate, random.choice([1, 4]), highlevel_faults=faults, page_limit=12, rest_ms=4 * day_ms)
    return play(workload, kills, world)


def stalled_scan(seed: int) -> Run:
    """Play an outage of minutes in the midst of a scan; meanwhile contacts change, and other jobs are requested."""
    random = Random(f"{seed} stalled")
    (location,) = locations_at_home(1, partition)
    lasts = random.choice([60_000, 200_000, 400_000])
    requests = [random_job(random, 0, [location]), *random_jobs(random, [location], random.choice([0, 1, 2]))]
    requests[1:] = [later(job, random.randint(3_000, lasts)) for job in requests[1:]]
    kinds = random.choices(list(waiting_kinds), k=25) + random.choices(changing, k=10)
    workload = with_jobs(seed, kinds, requests, [location], 25, lasts=lasts)
    begins = requests[0].at + random.randint(300, 1_500)
    outage = Outage(begins, lasts, location, random.choice(["5xx", "lost", "403"]))
    faults = HighLevelFaults(outages=(outage,))
    return play(workload, [], World(Rate(22), random.choice([1, 2]), highlevel_faults=faults, page_limit=5))


def later(job: JobRequest, ms: int) -> JobRequest:
    repeats, cancels = (tuple(at + ms for at in times) for times in (job.repeats, job.cancels))
    return replace(job, request=f"{job.request}-later", at=job.at + ms, repeats=repeats, cancels=cancels)


def jobs_in_group(seed: int) -> Run:
    """Play backfills and Sync Alls over the locations of several partitions, whose workers come and go."""
    random = Random(f"{seed} shared jobs")
    count, workers = random.choice([2, 3]), random.choice([1, 2, 3])
    among = [location for where in range(count) for location in locations_at_home(random.choice([1, 2]), where, count)]
    requests = [JobRequest(random.randint(1_000, 20_000), "backfill")]
    requests += random_jobs(random, among, random.choice([1, 2, 3]))
    if random.random() < 0.3:
        requests[0] = replace(requests[0], cancels=(requests[0].at + random.randint(1, 9_000),))
    requests = [job if job.location else replace(job, partition=random.randrange(count)) for job in requests]
    kinds = random.choices(list(waiting_kinds), k=40) + random.choices(list(job_outcomes), k=15)
    workload = with_jobs(seed, kinds, requests, among, 30, tuple(range(count)), count)
    faults = HighLevelFaults(
        group_faults_end_ms, random.choice([0.0, 0.05]), random.choice([0.0, 0.03]), random.choice([0.0, 0.02])
    )
    kafka_faults = Faults(group_faults_end_ms, random.choice([0.0, 0.02]), random.choice([0.0, 0.1]))
    world = World(
        Rate(random.choice([22, 90])),
        random.choice([1, 2, 50]),
        random.choice(networks_of_jobs),
        faults,
        kafka_faults,
        skew_ms=random.choice([0, 500]),
        page_limit=random.choice([5, 12]),
    )
    return play_group(workload, draw_group_faults(random, workers), world)
