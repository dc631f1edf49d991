"""A world in which all of it may go wrong together: several workers that come and go, upstream and HighLevel at their worst,
jobs, people who talk, and clocks that are set."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate

from .ailments import refusal
from .broker import Faults
from .conversations import chatter
from .crowd import crowd, in_jobs
from .demands import Order
from .named import statically
from .play import Run, Step, World, recovery_ms
from .together import play_together
from .toil import order, told
from .trouble import fates, faults_end_ms
from .upstream import redelivered
from .weather import Away, Day, Network, Outage, Refusal, Weather, day_ms
from .world import Scenario, at_home

ways: Final = (
    Network(),
    Network(out=(5, 2_000), back=(5, 500)),
    Network(out=(5, 6_000), back=(5, 3_000), stalls=0.05),
)
aways: Final[tuple[Away, ...]] = ("5xx", "lost", "403", "hang", "hang", "reset", "reset", "429", "429")
apart_ms: Final = 500  # no machine's clock is further off


def everything(seed: int) -> Run:
    random = Random(f"{seed} everything")
    count, workers = random.choice([1, 2, 3]), random.choice([1, 2, 2, 3])
    among = [location for where in range(count) for location in at_home(random.choice([1, 2]), where, count)]
    day = Day(60, random.choice([40_000, 60_000])) if random.random() < 0.04 else None
    scenario = tell(seed, random, among, count, cancels=day is None)
    sky = weather(random, among, day)
    steps = [Step(random.randint(500, faults_end_ms), by, random.randrange(workers), apart_ms) for by in jumps(random)]
    world = World(
        Rate(random.choice([22, 90]), *((day.calls, 0.5) if day else ())),
        1 if day else random.choice([1, 2, 50]),
        random.choice(ways),
        sky,
        Faults(
            faults_end_ms,
            random.choice([0.0, 0.02]),
            random.choice([0.0, 0.1]),
            refused=random.choice([0.0, 0.0, 0.05]),
        ),
        tuple(steps),
        skew_ms=random.choice([0, apart_ms]),
        page_limit=random.choice([5, 12, 30]),
        rest_ms=(sky.over + recovery_ms if sky.over > 0 else 0) + (day_ms if day else 0),
    )
    befalls = fates(random, workers)
    return play_together(scenario, statically(befalls) if random.random() < 0.3 else befalls, world)


def tell(seed: int, random: Random, among: Sequence[str], count: int, cancels: bool) -> Scenario:
    """Leads of any kind, some of them in jobs, whose contacts talk; told by an upstream that stumbles."""
    wanted = [order(random, number, among) for number in range(random.choice([0, 1, 2, 3]))]
    wanted = [placed(one if cancels else replace(one, cancels=()), random.randrange(count)) for one in wanted]
    chosen = random.choices(list(crowd), k=random.randint(5, 15)) + random.choices(list(in_jobs), k=15)
    scenario = told(seed, chosen, wanted, among, random.choice([0, 20]), tuple(range(count)), count, lasts=30_000)
    texts = chatter(seed, scenario.people.values(), random.choice([0, 3, 12]), random.choice([8_000, 40_000]))
    return redelivered(replace(scenario, texts=texts), random.choice([0.0, 0.1]), random.choice([0.0, 0.1]))


def placed(one: Order, where: int) -> Order:
    """What has no location is published to any partition."""
    return replace(one, partition=None if one.location else where)


def weather(random: Random, among: Sequence[str], day: Day | None) -> Weather:
    outages = [outage(random, among) for _ in range(random.choice([0, 1, 1, 2]))]
    refusals: list[Refusal] = []
    if random.random() < 0.25:
        refusals.append(refusal(random, random.choice(among)))
    return Weather(
        faults_end_ms,
        random.choice([0.0, 0.05]),
        random.choice([0.0, 0.03]),
        random.choice([0.0, 0.03]),
        tuple(outages),
        tuple(refusals),
        frozenset(random.sample(among, random.random() < 0.1)),
        day,
    )


def outage(random: Random, among: Sequence[str]) -> Outage:
    lasts = random.choice([2_000, 15_000, 60_000]) + random.randint(0, 900)
    return Outage(random.randint(0, 40_000), lasts, random.choice([None, *among]), random.choice(aways))


def jumps(random: Random) -> list[int]:
    return [random.choice([-1, 1]) * random.choice([300, 501, 800, 1_000]) for _ in range(random.choice([0, 0, 1, 2]))]
