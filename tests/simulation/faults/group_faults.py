"""Faults of the workers of a group, and of the broker between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, Literal

from .kills import StateLeft, states_left

GroupFaultKind = Literal["starts", "dies", "leaves", "freezes", "is cut off", "the broker goes"]

group_faults_end_ms: Final = 60_000


@dataclass(frozen=True, slots=True)
class GroupFault:
    """One fault of one worker; the start of a worker is the first one that it has."""

    at: int
    what: GroupFaultKind
    who: int = 0  # the worker's number; the broker's faults have none
    lasts_ms: int = 0  # then the worker or the broker is back
    lands: bool = True  # it dies: the end of a transaction that is under way reaches the broker
    state: StateLeft = "kept"  # the state files that it finds when it comes back
    instance: str | None = None  # it starts as a static member, and comes back as the same one

    @property
    def over(self) -> int:
        return self.at + self.lasts_ms


def draw_group_faults(random: Random, workers: int) -> Sequence[GroupFault]:
    """Draw a start of each worker, one to five further faults, and sometimes an outage of the broker."""
    faults = [GroupFault(random.choice([0, 0, 300, 8_000]), "starts", who) for who in range(workers)]
    faults += [
        GroupFault(random.randint(500, group_faults_end_ms - 20_000), **draw_group_fault(random, workers))
        for _ in range(random.randint(1, 5))
    ]
    if random.random() < 0.3:
        lasts = random.choice([1_000, 9_000, 15_000, 40_000])
        at = random.randint(0, group_faults_end_ms - lasts)
        faults.append(GroupFault(at, "the broker goes", lasts_ms=lasts))
    return sorted(faults, key=lambda fault: fault.at)


def draw_group_fault(random: Random, workers: int) -> dict[str, Any]:
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
        "state": random.choice(states_left),
    }


def as_static_members(faults: Sequence[GroupFault]) -> list[GroupFault]:
    """Return the same faults of workers that each have an instance id of their own."""
    return [as_static_member(fault) for fault in faults]


def as_static_member(fault: GroupFault) -> GroupFault:
    return replace(fault, instance=f"instance-{fault.who}") if fault.what == "starts" else fault
