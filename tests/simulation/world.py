"""A seeded scenario: who says what when, and the truth about it, known to the teller and never asked of the code under
test."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random
from typing import Final

from processor.topics import home

from .conversations import Text
from .demands import Order
from .leads import kinds, odd, unknown
from .tale import Person, Publication, Tale, never

partitions: Final = 4
partition: Final = 2  # the one that a worker owns where there is only one worker at a time
settle_ms: Final = (
    110_000  # after the last event: a second look 60 s after the first, retries, a throttled location, a restart
)

small: Final = (  # one of each that matters when a worker dies
    "complete",
    "lacks_fields",
    "lacks_contact",
    "nobody",
    "ambiguous",
    "young",
    "changes_email",
    "out_of_order",
    "is_deleted",
    "dead_link",
    "synced_unknown",
    "synced_with_snapshot",
    "malformed",
    "malformed_request",
)


@dataclass(frozen=True)
class Scenario:
    seed: int
    tales: Sequence[Tale]
    strays: Sequence[Publication] = field(default_factory=list)
    raw_names: frozenset[str] = frozenset()
    partitions: int = partitions
    owned: tuple[int, ...] = (partition,)  # by the workers
    orders: tuple[Order, ...] = ()
    bystanders: tuple[Person, ...] = ()  # contacts of nobody's
    texts: tuple[Text, ...] = ()  # what was said by SMS

    @cached_property
    def publications(self) -> list[Publication]:
        """In the order in which they are published."""
        of_leads = [one for tale in self.tales for one in tale.publications]
        of_jobs = [one for order in self.orders for one in order.publications]
        return sorted([*of_leads, *of_jobs, *self.strays], key=lambda one: one.at)

    @cached_property
    def people(self) -> dict[str, Person]:
        people = [*self.bystanders, *(person for tale in self.tales for person in tale.people)]
        return {person.id: person for person in people}

    @property
    def poison(self) -> frozenset[str]:
        """E-mails that HighLevel stumbles on."""
        return frozenset(value for tale in self.tales for value in tale.poison)

    @property
    def ends(self) -> int:
        """Ms after the world's start when everything must be done, if nobody dies."""
        return max((one.at for one in self.publications), default=0) + settle_ms

    def without(self, numbers: Collection[int]) -> "Scenario":
        """The same scenario, these leads apart: to find the shortest that still fails."""
        return replace(self, tales=[one for one in self.tales if one.number not in numbers])

    def place(self, one: Publication) -> int:
        """The partition that upstream publishes it to."""
        return home(one.key, self.partitions) if one.partition is None else one.partition


def scenario(
    seed: int, chosen: Sequence[str] = small, locations: int = 2, spread_ms: int = 4_000, strays: int = 1
) -> Scenario:
    """These kinds of leads, spread over locations and time."""
    random = Random(f"{seed} scenario")
    ours = at_home(locations, partition)
    raw_names = frozenset(location for location in ours if random.random() < 0.5)
    tales = []
    for number, kind in enumerate(chosen):
        location = random.choice(ours)
        tale = Tale(seed, number, location, location in raw_names, random.randint(0, spread_ms), kind)
        {**kinds, **odd}[kind](tale)
        tales.append(tale)
    return Scenario(seed, tales, [stray(random, number, spread_ms) for number in range(strays)], raw_names)


def mixed(seed: int, leads: int = 60, locations: int = 4, spread_ms: int = 8_000) -> Scenario:
    """Any kinds, at random."""
    random = Random(f"{seed} kinds")
    return scenario(seed, random.choices(list(kinds), k=leads), locations, spread_ms, strays=3)


def flood(seed: int, leads: int, locations: int = 1) -> Scenario:
    """Nothing but work: as many calls as leads, at once."""
    return scenario(seed, ["lacks_contact"] * leads, locations, spread_ms=500, strays=0)


def shared(seed: int, leads: int, count: int, each: int = 2, spread_ms: int = 40_000) -> Scenario:
    """Any kinds, at random, over the locations of all `count` partitions; some stray to another one first."""
    random = Random(f"{seed} shared")
    ours = [location for where in range(count) for location in at_home(each, where, count)]
    raw_names = frozenset(location for location in ours if random.random() < 0.5)
    tales = []
    for number, kind in enumerate(random.choices(list(kinds), k=leads)):
        location = random.choice(ours)
        tale = Tale(seed, number, location, location in raw_names, random.randint(0, spread_ms), kind)
        kinds[kind](tale)
        if kind == "nobody" and random.random() < 0.5:
            tale.publications[0] = replace(
                tale.publications[0], partition=(home(location, count) + 1) % count, strays=True
            )
            tale.truth.known = never  # when it comes home, nobody can tell
            tale.truth.excused |= {unknown}  # whoever has to send it home may be away
        tales.append(tale)
    return Scenario(seed, tales, raw_names=raw_names, partitions=count, owned=tuple(range(count)))


def at_home(count: int, where: int, among: int = partitions) -> list[str]:
    """Ids of locations that live in this partition."""
    ids = (f"location-{number}" for number in range(100_000))
    return [next(one for one in ids if home(one, among) == where) for _ in range(count)]


def stray(random: Random, number: int, spread_ms: int) -> Publication:
    """A lead of another partition's location, wrongly published on ours."""
    (elsewhere,) = at_home(1, (partition + 1) % partitions)
    tale = Tale(f"stray {random.random()}", 90_000 + number, elsewhere, False, random.randint(0, spread_ms))
    tale.change(1, {"email": f"stray-{number}@example.com"}, None)
    (one,) = tale.publications
    return replace(one, strays=True, partition=partition)
