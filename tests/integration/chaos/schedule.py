"""The fault schedule of a seed: always the same. Pure.

Each process, network and location has a lane of its own: one fault follows another there, independent of the other lanes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

crew: Final = ("worker-0", "worker-1", "worker-2")
guest: Final = "worker-3"  # comes and goes
named: Final = crew[0]  # a member by name
faulty: Final = ("first", "second", "third", "town", "village")  # locations, as `load` has them
seeds_in_test: Final = (1, 2, 3)
seeds_in_proof: Final = tuple(range(100, 120))
quiet_s: Final = 8.0  # at the end of a schedule nothing fails any more
restart_s: Final = 8.0  # of a broker that was killed

Lasts = tuple[float, float]  # s, at least and at most

deaths: Final[Mapping[str, Lasts]] = {
    "killed": (0.2, 4),  # -9; so long until it is there again
    "killed, state lost": (0.2, 4),
    "restarted": (0.1, 3),  # SIGTERM
    "stands still": (0.5, 7),  # SIGSTOP
}
late_calls: Final[Mapping[str, Lasts]] = {"killed, its calls late": (2, 4)}
"""Its network stalls until it has calls enough on their way, it is killed, without its state back at once, and so long after that
they arrive. A member by name has its partitions again by then: a worker that doesn't know of those calls overspends."""
fills_s: Final = 2.3  # 20 calls of a location on their way, at 9 a second
absence: Final[Mapping[str, Lasts]] = {
    "stands still past its session": (12, 16)
}  # which is 10 s, of a member without a name
visit: Final[Mapping[str, Lasts]] = {"joins and leaves": (6, 18)}
outage: Final[Mapping[str, Lasts]] = {"broker killed": (0.2, 3)}
network: Final[Mapping[str, Lasts]] = {
    "cut": (0.5, 12),  # what was held is dropped
    "stalled": (0.5, 6),  # what was held is delivered: by then it is still allowed to
}
rows: Final[Mapping[str, Mapping[str, Any]]] = {
    "500": {"kind": "status", "status": 500, "probability": 0.5},
    "503": {"kind": "status", "status": 503},
    "429 with seconds": {"kind": "status", "status": 429, "retry_after": "seconds", "retry_after_s": 3, "times": 2},
    "429 with a date": {"kind": "status", "status": 429, "retry_after": "date", "retry_after_s": 4, "times": 2},
    "429 with neither": {"kind": "status", "status": 429, "times": 1},
    "cloudflare": {"kind": "cloudflare", "probability": 0.5},
    "hang": {"kind": "hang", "times": 5},
    "reset": {"kind": "reset", "probability": 0.7},
    "lost": {"kind": "lost", "probability": 0.7},
    "truncated": {"kind": "truncated", "probability": 0.7},
    "malformed": {"kind": "malformed", "probability": 0.7},
    "endless": {"kind": "endless", "times": 2},
    "slow": {"kind": "slow", "delay_ms": 2_500},
}
"""Rows of `processor.sandbox.faults`."""
failures: Final[Mapping[str, Lasts]] = dict.fromkeys(rows, (1, 5))
kinds: Final = (*deaths, *late_calls, *absence, *visit, *outage, *network, *failures)


@dataclass(frozen=True, slots=True, order=True)
class Event:
    at_s: float
    kind: str
    whom: str  # a worker, "broker", or a location
    lasts_s: float


def schedule(seed: int, lasts_s: float) -> tuple[Event, ...]:
    """In order of their beginnings."""
    dice = Random(f"{seed} chaos")
    ends_s = lasts_s - quiet_s
    ways, ills = deck(dice, network), deck(dice, failures)
    found = [*lane(dice, deck(dice, {**deaths, **late_calls}), named, (3, 9), ends_s - fills_s)]
    deaths_of_others = deck(dice, {**deaths, **absence})
    for whom in crew[1:]:
        found += lane(dice, deaths_of_others, whom, (3, 10), ends_s)
    found += lane(dice, deck(dice, visit), guest, (4, 25), ends_s)
    found += lane(dice, deck(dice, outage), "broker", (10, 30), ends_s - restart_s)
    for whom in (*crew, guest):
        found += lane(dice, ways, whom, (3, 15), ends_s)
    for location in faulty:
        found += lane(dice, ills, location, (2, 10), ends_s)
    return tuple(sorted(found))


def lane(
    dice: Random, upcoming: Iterator[tuple[str, Lasts]], whom: str, apart: Lasts, ends_s: float
) -> Iterator[Event]:
    """One after another, `apart` from each other."""
    at_s = dice.uniform(*apart)
    while True:
        kind, lasts = next(upcoming)
        lasts_s = dice.uniform(*lasts)
        if at_s + lasts_s > ends_s:
            return
        yield Event(round(at_s, 3), kind, whom, round(lasts_s, 3))
        at_s += lasts_s + dice.uniform(*apart)


def deck(dice: Random, cards: Mapping[str, Lasts]) -> Iterator[tuple[str, Lasts]]:
    """Yield the items shuffled, and again when all are dealt: rare items come soon, too."""
    while True:
        shuffled: Sequence[tuple[str, Lasts]] = dice.sample([*cards.items()], len(cards))
        yield from shuffled
