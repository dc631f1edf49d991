"""Seeded worlds in which there is more to do than may be done at once: people who wait beside a backlog, locations beside a
sick one, and a log full of leads. Nothing else goes wrong: how long things take tells something."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate

from .broker import Faults
from .demands import Order
from .leads import outcomes
from .play import Run, World, play
from .tale import Tale, never
from .weather import Away, How, Network, Outage, Refusal, Weather
from .world import Scenario, at_home, partition

rate: Final = Rate(90)
steady: Final = Network(connect=(0, 1), out=(45, 55), back=(45, 55))  # a round trip of 100 ms
world: Final = World(rate, 1, steady, faults=Faults(slow=0))
calls_of_a_sync: Final = 2  # a search, and a GET for what no search shows
ails: Final[tuple[Away | How | str, ...]] = (
    *("5xx", "lost", "403", "hang", "reset", "429"),
    *("expired", "revoked", "location"),
    "huge",
)


def stands_in_line(tale: Tale) -> None:
    """One call's work."""
    person = tale.person()
    tale.change(1, {**person.fields}, person)
    outcomes(tale, "updated")


def is_asked_about(tale: Tale) -> None:
    person = tale.person()
    tale.is_so(1, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")
    tale.sync(f"request-{tale.number}", lead=tale.snapshot(1))


def rests(tale: Tale) -> None:
    """Recorded, and no more."""
    tale.change(1, {"email": f"nobody-{tale.number}@example.com"}, None, loading=True)
    tale.truth.job = frozenset({"not_found"})
    outcomes(tale, None, "not_found")


def tales(seed: int, kind: Callable[[Tale], None], location: str, times: Sequence[int], first: int = 0) -> list[Tale]:
    told = [Tale(seed, number, location, True, at, kind.__name__) for number, at in enumerate(times, first)]
    for tale in told:
        kind(tale)
    return told


def crowded(seed: int, lasts_s: int = 20) -> Run:
    """People ask for half of the budget, or less, beside an endless backlog."""
    random = Random(f"{seed} crowded")
    (location,) = at_home(1, partition)
    share = random.choice([0.15, 0.3, 0.45])
    every = int(10_000 * calls_of_a_sync / (rate.per_window * share))
    asked = [at + random.randint(0, every // 3) for at in range(1_000, lasts_s * 1_000, every)]
    backlog = [random.randint(0, 500)] * (rate.per_window * lasts_s // 10)
    return play(told(seed, location, asked, backlog), world=world)


def pressed(seed: int) -> Run:
    """People ask for more than all of the budget, and some other work waits."""
    random = Random(f"{seed} pressed")
    (location,) = at_home(1, partition)
    every = int(10_000 * calls_of_a_sync / (rate.per_window * random.choice([1.2, 1.5])))
    backlog = [random.randint(0, 500)] * 9
    return play(told(seed, location, range(300, 20_000, every), backlog), world=world)


def told(seed: int, location: str, asked: Sequence[int], backlog: Sequence[int]) -> Scenario:
    people = tales(seed, is_asked_about, location, asked)
    others = tales(seed, stands_in_line, location, backlog, len(people))
    return Scenario(seed, [*people, *others], raw_names=frozenset({location}))


def neighbours(seed: int) -> Run:
    """A location is sick, or huge, and others share its partition; and the same without it."""
    random = Random(f"{seed} neighbours")
    sick, well = at_home(2, partition)
    how, at, lasts = random.choice(ails), random.randint(0, 2_000), random.choice([20_000, 60_000])
    many = [random.randint(0, 1_000) for _ in range(400 if how == "huge" else 60)]
    ill = tales(seed, stands_in_line, sick, many, 1_000)
    fit = tales(seed, stands_in_line, well, [random.randint(0, 25_000) for _ in range(20)])
    fit += tales(seed, is_asked_about, well, [random.randint(0, 25_000) for _ in range(20)], len(fit))
    scenario = Scenario(seed, [*fit, *ill], raw_names=frozenset({sick, well}))
    run = play(scenario, world=replace(world, weather=ailment(how, sick, at, lasts)))
    run.control = play(scenario.without([tale.number for tale in ill]), world=world)
    return run


def ailment(how: str, location: str, at: int, lasts: int) -> Weather:
    match how:
        case "5xx" | "lost" | "403" | "hang" | "reset" | "429":
            return Weather(outages=(Outage(at, lasts, location, how),))
        case "expired" | "revoked" | "location":
            return Weather(refusals=(Refusal(location, at, how, renewed=at + lasts, cured=never),))
    return Weather()


def loaded(seed: int, leads: int = 2_400) -> Run:
    """A log full of leads, and a job over all of them."""
    (location,) = at_home(1, partition)
    told = tales(seed, rests, location, [0] * leads)
    return play(Scenario(seed, told, orders=(Order(2_000, "job-0", location),)), world=replace(world, probe_size=50))
