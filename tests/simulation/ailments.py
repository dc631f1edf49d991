"""Seeded worlds in which HighLevel ails for minutes: outages, refused tokens, e-mails it stumbles on; and wall clocks
that are stepped."""

from collections.abc import Sequence
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate

from .broker import Faults
from .leads import kinds
from .play import Run, Step, World, play
from .trouble import kill
from .weather import How, Network, Outage, Refusal, Weather
from .world import flood, scenario

steady_ms: Final = 500_000  # leads come in for so long
refused: Final[tuple[How, ...]] = ("expired", "scope", "revoked", "location")
calm: Final = Network(out=(5, 500), back=(5, 200))


def ailing(seed: int) -> Run:
    """Outages and refused tokens, of one location or of all; every other world has workers that come and go."""
    random = Random(f"{seed} ailing")
    told = scenario(seed, random.choices(list(kinds), k=30), locations=3, spread_ms=60_000, strays=0)
    locations = sorted({tale.location for tale in told.tales})
    outages = [outage(random, locations) for _ in range(random.choice([0, 1, 1, 2]))]
    refusals = [refusal(random, one) for one in random.sample(locations, k=random.choice([0, 1]) if outages else 1)]
    weather = Weather(outages=tuple(outages), refusals=tuple(refusals))
    world = World(Rate(90), random.choice([1, 50]), calm, weather, skew_ms=random.choice([0, 400]))
    return play(told, [kill(random) for _ in range(random.choice([0, 2]))], world)


def outage(random: Random, locations: Sequence[str]) -> Outage:
    lasts = random.choice([5_000, 30_000, 90_000, 300_000]) + random.randint(0, 900)
    where = random.choice([None, *locations])
    return Outage(random.randint(0, 60_000), lasts, where, random.choice(["5xx", "5xx", "lost", "403"]))


def refusal(random: Random, location: str) -> Refusal:
    """A new token comes after a while, or the old one is accepted again."""
    at, how = random.randint(0, 60_000), random.choice(refused)
    over = at + random.choice([500, 20_000, 100_000, 400_000])
    if how in ("scope", "location") and random.random() < 0.3:
        return Refusal(location, at, how, cured=over)
    return Refusal(location, at, how, renewed=over)


def poisoned(seed: int) -> Run:
    """Some e-mails make every search that holds them fail, while others of their locations come and are found."""
    random = Random(f"{seed} poisoned")
    told = scenario(seed, ["poisoned"] * random.randint(1, 3) + ["lacks_contact"] * 150, 2, steady_ms, strays=0)
    return play(told, world=World(Rate(random.choice([22, 90])), random.choice([1, 8, 50]), calm, Weather()))


def stepped(seed: int) -> Run:
    """The wall clock of a busy worker jumps, forth or back."""
    random = Random(f"{seed} stepped")
    steps = [Step(random.randint(500, 9_000), jump(random)), Step(random.randint(40_000, 55_000), jump(random))]
    ways = Network(out=(5, random.choice([60, 2_000, 7_000])), back=(5, 500))
    world = World(Rate(9), 1, ways, Weather(60_000, 0.0, random.choice([0.0, 0.2])), Faults(slow=0), steps=tuple(steps))
    return play(flood(seed, leads=40), world=world)


def jump(random: Random) -> int:
    return random.choice([-1, 1]) * random.choice([300, 501, 1_000, 2_000, 3_000])
