"""Seeded worlds in which things go wrong: slow or lossy ways, an ailing HighLevel, commits of unknown outcome, clocks
that differ, and workers that die, stall or are told to leave."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from processor.ratelimit.budget import Rate

from .broker import Faults
from .fate import Fate
from .play import Run, World, play
from .together import play_together
from .weather import Network, Weather
from .worker import Kill, founds
from .world import flood, mixed, shared

faults_end_ms: Final = 60_000  # likewise, where several workers share the partitions
clears_up_ms: Final = 15_000  # after the world's start: faults stop, and what is pending must end
ways: Final = (
    Network(),
    Network(out=(5, 2_000), back=(5, 500)),
    Network(out=(5, 6_000), back=(5, 3_000), stalls=0.05),
)


def troubled(seed: int) -> Run:
    return play(mixed(seed, leads=30), *trouble(seed))


def trouble(seed: int) -> tuple[Sequence[Kill], World]:
    random = Random(f"{seed} trouble")
    kills = [kill(random) for _ in range(random.choice([0, 1, 2, 4]))]
    # a worker that has lost its partition, and reopens, fences its successor: that is membership's to settle, not the runner's
    unknown = 0.0 if any(one.how == "stalls" for one in kills) else random.choice([0.0, 0.03])
    return kills, World(
        Rate(random.choice([22, 90])),
        random.choice([1, 50]),
        random.choice(ways),
        Weather(clears_up_ms, random.choice([0.0, 0.1]), random.choice([0.0, 0.05]), random.choice([0.0, 0.03])),
        Faults(clears_up_ms, unknown, random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 400]),
    )


def stormy(seed: int) -> Run:
    """A location that is asked for more than its budget gives, on slow and lossy ways, by workers that come and go."""
    random = Random(f"{seed} storm")
    kills = [
        replace(kill(random), after_ms=random.choice([1_000, 3_000, 7_000, 12_000]) + random.randint(0, 900))
        for _ in range(random.choice([1, 3, 6]))
    ]
    world = World(
        Rate(9),
        1,
        Network(out=(5, random.choice([2_000, 7_500])), back=(5, 500), stalls=random.choice([0.0, 0.2])),
        Weather(60_000, 0.05, random.choice([0.0, 0.3])),
        skew_ms=500,
    )
    return play(flood(seed, leads=25), kills, world)


def kill(random: Random) -> Kill:
    return Kill(
        after_ms=random.choice([5, 50, 300, 1_000, 5_000]) + random.randint(0, 400),
        lands=random.random() < 0.5,
        state=random.choice(founds),
        pause_ms=random.choice([1, 100, 2_000]),
        how=random.choice(["dies", "dies", "dies", "stalls", "drains"]),
    )


def quarrel(seed: int) -> Run:
    """Several workers over several partitions, and everything that can come between them, or them and the broker."""
    random = Random(f"{seed} quarrel")
    partitions, workers = random.choice([2, 3, 4]), random.choice([2, 2, 3])
    world = World(
        Rate(random.choice([22, 90])),
        random.choice([1, 50]),
        random.choice(ways),
        Weather(faults_end_ms, random.choice([0.0, 0.05]), random.choice([0.0, 0.03]), random.choice([0.0, 0.02])),
        Faults(faults_end_ms, random.choice([0.0, 0.02]), random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 500]),
    )
    return play_together(shared(seed, 40, partitions), fates(random, workers), world)


def fates(random: Random, workers: int) -> Sequence[Fate]:
    """Each worker starts, and then this and that happens to it, or to the broker."""
    happen = [Fate(random.choice([0, 0, 300, 8_000]), "starts", who) for who in range(workers)]
    happen += [
        Fate(random.randint(500, faults_end_ms - 20_000), **fate(random, workers)) for _ in range(random.randint(1, 5))
    ]
    if random.random() < 0.3:
        lasts = random.choice([1_000, 9_000, 15_000, 40_000])
        happen.append(Fate(random.randint(0, faults_end_ms - lasts), "the broker goes", lasts_ms=lasts))
    return sorted(happen, key=lambda one: one.at)


def fate(random: Random, workers: int) -> dict[str, Any]:
    what = random.choice(["dies", "dies", "leaves", "freezes", "freezes", "freezes", "is cut off", "is cut off"])
    lasts = (
        random.choice([1, 2_000, 15_000])
        if what in ("dies", "leaves")
        else random.choice([500, 4_000, 12_000, 13_500, 25_000, 45_000])
    )
    return {
        "what": what,
        "who": random.randrange(workers),
        "lasts_ms": lasts + random.randint(0, 900),
        "lands": random.random() < 0.5,
        "state": random.choice(founds),
    }
