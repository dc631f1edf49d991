"""Seeded worlds with messages: Syncs and Sync Alls import pages of them, workers die, and cursors expire."""

from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.faults import HighLevelFaults, Outage
from tests.lab.workload.job_workload import random_jobs, still, with_jobs
from tests.lab.workload.lead_kinds import job_outcomes, waiting_kinds
from tests.lab.workload.message import conversations, minute_ms
from tests.lab.workload.message_workload import changing_while_read, read_by_location, synced_twice
from tests.lab.workload.times import start_ms
from tests.lab.workload.workload import locations_at_home, partition
from tests.simulation.faults.kills import draw_kill

from .job_worlds import draw_job_world
from .play import play
from .run import Run, World

paged_world: Final = World(Rate(90), 1, page_limit=6)


def expired_cursors(seed: int) -> Run:
    """Play an outage that outlasts a cursor, while pages follow each other."""
    random = Random(f"{seed} interrupted")
    (location,) = locations_at_home(1, partition)
    exports = (read_by_location, changing_while_read)
    workload = synced_twice(seed, 30, 400_000) if seed % 2 else random.choice(exports)(seed)
    world = World(Rate(random.choice([22, 90])), random.choice([1, 4]), page_limit=6)
    undisturbed = play(workload, world=world)
    sent = undisturbed.server.sent
    pages = [one.until - start_ms for one in sent if one.kind == "messages" and one.until]
    begins = random.choice(pages[:4]) + random.choice([0, 1, 20])  # just when a page has come
    lasts = random.choice([125_000, 3 * minute_ms, 6 * minute_ms])
    outage = Outage(begins, lasts, location, random.choice(["5xx", "lost"]))
    kills = [draw_kill(random) for _ in range(random.choice([0, 0, 1]))]
    return play(workload, kills, replace(world, highlevel_faults=HighLevelFaults(outages=(outage,))))


def changing_messages(seed: int) -> Run:
    """Play leads that change while a Sync All exports their location."""
    return play(changing_while_read(seed), world=paged_world)


def jobs_with_messages(seed: int) -> Run:
    """Play Syncs and jobs over leads of any kind, whose contacts have messages; and all other faults."""
    random = Random(f"{seed} chatting")
    among = locations_at_home(random.choice([1, 2]), partition)
    requests = random_jobs(random, among, random.choice([0, 1, 2, 3]))
    kinds = random.choices(list(waiting_kinds), k=15) + random.choices(list(job_outcomes), k=15)
    kinds += random.choices(still, k=6)
    workload = with_jobs(seed, kinds, requests, among, random.choice([0, 20]), lasts=20_000)
    most, lasts = random.choice([3, 12]), random.choice([8_000, 40_000])
    messages = conversations(seed, workload.contacts.values(), most, lasts)
    kills = [draw_kill(random) for _ in range(random.choice([0, 0, 1, 2]))]
    unknown = 0.0 if any(kill.how == "stalls" for kill in kills) else random.choice([0.0, 0.03])
    return play(replace(workload, messages=messages), kills, draw_job_world(random, among, unknown))
