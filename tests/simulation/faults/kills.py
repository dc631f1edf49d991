"""Kills of a worker that is alone: when it loses its partition, how, and what its successor finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, NamedTuple

StateLeft = Literal["kept", "stale", "lost"]
KillKind = Literal["dies", "stalls", "drains"]
states_left: Final[Sequence[StateLeft]] = ("kept", "stale", "lost")


@dataclass(frozen=True, slots=True)
class Kill:
    at: int = 0  # the step before which it happens
    after_ms: int = 0  # or else the first step so long after the worker's start
    lands: bool = True  # the end of a transaction that is under way reaches the broker
    state: StateLeft = "kept"  # the state file that the successor finds: the newest, an older copy, or none
    pause_ms: int = 200  # until the successor starts
    how: KillKind = "dies"  # stalls: the worker goes on and is fenced later; drains: it gets the signal to stop


class KillPoint(NamedTuple):
    """A step before which a worker can die. Between two equal ones nothing left or reached the worker."""

    ms: int
    happened: int
    commits: int
    deciding: int


def draw_kill(random: Random) -> Kill:
    return Kill(
        after_ms=random.choice([5, 50, 300, 1_000, 5_000]) + random.randint(0, 400),
        lands=random.random() < 0.5,
        state=random.choice(states_left),
        pause_ms=random.choice([1, 100, 2_000]),
        how=random.choice(["dies", "dies", "dies", "stalls", "drains"]),
    )
