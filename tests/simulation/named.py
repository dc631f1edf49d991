"""Seeded worlds of static members: workers with instance ids, which come back as who they were, and now and then two under
one id."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from processor.ratelimit.budget import Rate

from .broker import Faults
from .fate import Fate
from .play import Run, World
from .together import play_together
from .trouble import fates, faults_end_ms, ways
from .weather import Weather
from .world import shared


def named(seed: int) -> Run:
    """As `quarrel`, with static members; in some worlds one of the workers has no instance id."""
    random = Random(f"{seed} named")
    partitions, workers = random.choice([2, 3, 4]), random.choice([2, 2, 3])
    dynamic = random.randrange(workers) if random.random() < 0.3 else None
    happen = [with_instance(fate) if fate.who != dynamic else fate for fate in fates(random, workers)]
    if random.random() < 0.4:
        twin = Fate(random.randint(0, faults_end_ms // 2), "starts", workers, instance="instance-0")
        happen = sorted([*happen, twin], key=lambda one: one.at)
    world = World(
        Rate(random.choice([22, 90])),
        random.choice([1, 50]),
        random.choice(ways),
        Weather(faults_end_ms, random.choice([0.0, 0.05]), lost=random.choice([0.0, 0.03])),
        Faults(faults_end_ms, random.choice([0.0, 0.02]), random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 500]),
    )
    return play_together(shared(seed, 40, partitions), happen, world)


def statically(fates: Sequence[Fate]) -> list[Fate]:
    """The same, of workers that each have an instance id of their own."""
    return [with_instance(fate) for fate in fates]


def with_instance(fate: Fate) -> Fate:
    return replace(fate, instance=f"instance-{fate.who}") if fate.what == "starts" else fate
