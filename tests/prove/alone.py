"""Test Budget alone: many locations at saturation, each with the adversities of its seed.

`python -m tests.prove.alone --seeds N` prints the figures. It ends with 1 where a promise was broken, and the seed shows the
same again.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from time import perf_counter
from typing import Final

from .adversities import adversities
from .location import Location, warm_ms

hour_ms: Final = 3_600_000
minute_ms: Final = 60_000


@dataclass(frozen=True, slots=True)
class Violation:
    seed: int
    at: int  # ms since its run began: the shortest prefix that shows it
    kind: str
    what: str
    adversities: str

    def __str__(self) -> str:
        what = f"{self.kind}: {self.what}" if self.what else self.kind
        return f"seed {self.seed} after {self.at} ms: {what} ({self.adversities})"


@dataclass(frozen=True, slots=True)
class Alone:
    """The figures of some runs; `+` merges."""

    ms: int = 0
    calls: int = 0
    faults: Mapping[str, int] = field(default_factory=Counter)
    worst: Mapping[str, int] = field(default_factory=Counter)  # judge → the highest load that any call found
    refused: int = 0  # calls that went beyond the limit by the server whose load the headers show
    violations: tuple[Violation, ...] = ()  # the first of each kind of each run
    calm: int = 0  # calls of the calm worlds once their first window was full
    room: int = 0  # how many they would be at the whole rate, times 10,000
    # of the calm worlds: ms for which an interactive call waited for its slot → calls
    waits: Mapping[int, int] = field(default_factory=Counter)

    def __add__(self, other: "Alone") -> "Alone":
        return Alone(
            self.ms + other.ms,
            self.calls + other.calls,
            Counter(self.faults) + Counter(other.faults),
            Counter(self.worst) | Counter(other.worst),
            self.refused + other.refused,
            self.violations + other.violations,
            self.calm + other.calm,
            self.room + other.room,
            Counter(self.waits) + Counter(other.waits),
        )

    @property
    def hours(self) -> float:
        return self.ms / hour_ms

    @property
    def use(self) -> float:
        """Share of the rate that calm locations spend."""
        return self.calm * 10_000 / self.room if self.room else 0.0

    def wait(self, share: float) -> int:
        """So many ms, or less, is what this share of the interactive calls of calm locations waits."""
        left = share * sum(self.waits.values())
        for ms in sorted(self.waits):
            left -= self.waits[ms]
            if left <= 0:
                return ms
        return 0


def one(seed: int, ms: int) -> Alone:
    faults = adversities(seed)
    location = Location(seed, faults)
    location.run(ms)
    return Alone(
        ms,
        location.calls,
        location.faults,
        location.judges.worst,
        location.refused,
        tuple(
            Violation(seed, at - location.began, kind, what, str(faults))
            for kind, (at, what) in location.judges.violations.items()
        ),
        location.steady if faults.calm else 0,
        faults.rate * max(0, ms - warm_ms) if faults.calm else 0,
        location.waits if faults.calm else Counter(),
    )


def prove(seeds: range, minutes: int) -> Alone:
    """Each seed is one location, for so long."""
    return reduce(add, (one(seed, minutes * minute_ms) for seed in seeds), Alone())


def table(seen: Alone) -> str:
    lines = [
        ("location-hours", f"{seen.hours:,.1f}"),
        ("calls", f"{seen.calls:,}"),
        *((f"fault: {kind}", f"{count:,}") for kind, count in sorted(seen.faults.items())),
        *((f"worst: {judge}", f"{load}") for judge, load in sorted(seen.worst.items())),
        ("refused", f"{seen.refused:,}"),
        ("violations", f"{len(seen.violations)}"),
        ("use, calm", f"{seen.use:.2%}"),
        ("interactive wait p50, calm", f"{seen.wait(0.5)} ms"),
        ("interactive wait p99, calm", f"{seen.wait(0.99)} ms"),
    ]
    return "\n".join([*(f"{name:32}{value:>14}" for name, value in lines), *map(str, seen.violations)])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove.alone", description=__doc__)
    parser.add_argument("--seeds", type=int, default=80, help="how many locations")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--minutes", type=int, default=10, help="for how long each, of its own time")
    options = parser.parse_args(arguments)

    began = perf_counter()
    seen = prove(range(options.first, options.first + options.seeds), options.minutes)
    took = perf_counter() - began
    print(table(seen))
    print(f"{'calls a second of real time':32}{seen.calls / took:14,.0f}")
    return bool(seen.violations)


if __name__ == "__main__":
    sys.exit(main())
