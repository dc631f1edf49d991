"""Seeded worlds in which workers die, stall, leave or change hands, on slow networks and with commits of unknown outcome."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.faults import HighLevelFaults
from tests.lab.workload.workload import flood, in_all_partitions, mixed
from tests.simulation.faults.group_faults import (
    GroupFault,
    as_static_member,
    draw_group_faults,
    group_faults_end_ms,
)
from tests.simulation.faults.kills import Kill, draw_kill
from tests.simulation.world.broker import Faults
from tests.simulation.world.network import Network

from .play import play
from .play_group import play_group
from .run import Run, World

faults_end_ms: Final = 15_000  # of a single worker's world: then what is pending must end
networks: Final = (
    Network(),
    Network(out=(5, 2_000), back=(5, 500)),
    Network(out=(5, 6_000), back=(5, 3_000), stalls=0.05),
)


def one_worker(seed: int) -> Run:
    """Play leads of any kind with one worker at a time."""
    return play(mixed(seed, leads=30), *draw_world(seed))


def draw_world(seed: int) -> tuple[Sequence[Kill], World]:
    random = Random(f"{seed} trouble")
    kills = [draw_kill(random) for _ in range(random.choice([0, 1, 2, 4]))]
    # A worker that has lost its partition, and reopens, fences its successor: membership prevents that, not the runner.
    unknown = 0.0 if any(kill.how == "stalls" for kill in kills) else random.choice([0.0, 0.03])
    return kills, World(
        Rate(random.choice([22, 90])),
        random.choice([1, 50]),
        random.choice(networks),
        HighLevelFaults(
            faults_end_ms, random.choice([0.0, 0.1]), random.choice([0.0, 0.05]), random.choice([0.0, 0.03])
        ),
        Faults(faults_end_ms, unknown, random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 400]),
    )


def overloaded(seed: int) -> Run:
    """Play a location that needs more than its budget, on slow and lossy networks, with workers that come and go."""
    random = Random(f"{seed} storm")
    kills = [
        replace(draw_kill(random), after_ms=random.choice([1_000, 3_000, 7_000, 12_000]) + random.randint(0, 900))
        for _ in range(random.choice([1, 3, 6]))
    ]
    world = World(
        Rate(9),
        1,
        Network(out=(5, random.choice([2_000, 7_500])), back=(5, 500), stalls=random.choice([0.0, 0.2])),
        HighLevelFaults(60_000, 0.05, random.choice([0.0, 0.3])),
        skew_ms=500,
    )
    return play(flood(seed, leads=25), kills, world)


def worker_group(seed: int) -> Run:
    """Play several workers over several partitions, and all faults between them, or between them and the broker."""
    random = Random(f"{seed} quarrel")
    partitions, workers = random.choice([2, 3, 4]), random.choice([2, 2, 3])
    world = World(
        Rate(random.choice([22, 90])),
        random.choice([1, 50]),
        random.choice(networks),
        HighLevelFaults(
            group_faults_end_ms, random.choice([0.0, 0.05]), random.choice([0.0, 0.03]), random.choice([0.0, 0.02])
        ),
        Faults(group_faults_end_ms, random.choice([0.0, 0.02]), random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 500]),
    )
    return play_group(in_all_partitions(seed, 40, partitions), draw_group_faults(random, workers), world)


def static_members(seed: int) -> Run:
    """Play a group of static members; in some worlds two share an instance id, or one worker has none."""
    random = Random(f"{seed} named")
    partitions, workers = random.choice([2, 3, 4]), random.choice([2, 2, 3])
    dynamic = random.randrange(workers) if random.random() < 0.3 else None
    drawn = draw_group_faults(random, workers)
    faults = [as_static_member(fault) if fault.who != dynamic else fault for fault in drawn]
    if random.random() < 0.4:
        twin = GroupFault(random.randint(0, group_faults_end_ms // 2), "starts", workers, instance="instance-0")
        faults = sorted([*faults, twin], key=lambda fault: fault.at)
    world = World(
        Rate(random.choice([22, 90])),
        random.choice([1, 50]),
        random.choice(networks),
        HighLevelFaults(group_faults_end_ms, random.choice([0.0, 0.05]), lost=random.choice([0.0, 0.03])),
        Faults(group_faults_end_ms, random.choice([0.0, 0.02]), random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 500]),
    )
    return play_group(in_all_partitions(seed, 40, partitions), faults, world)
