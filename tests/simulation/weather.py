"""What lies between the workers and HighLevel, and what goes wrong there: latency, outages, refused tokens, days that are
spent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .tale import never

How = Literal["expired", "scope", "revoked", "location"]  # what is wrong with a token
Away = Literal["5xx", "lost", "403", "hang", "reset", "429"]  # what becomes of the calls of an outage
day_ms: Final = 86_400_000
refusals: Final[Mapping[str, tuple[int, str]]] = {  # contract.md §3
    "expired": (401, "Invalid JWT"),
    "scope": (401, "The token is not authorized for this scope."),
    "revoked": (401, "Invalid Private Integration token"),
    "location": (403, "The token does not have access to this location."),
}


@dataclass(frozen=True, slots=True)
class Network:
    """How long things take, in ms, from … to …; and how often connecting takes too long."""

    connect: tuple[int, int] = (0, 3)
    out: tuple[int, int] = (5, 60)
    back: tuple[int, int] = (5, 60)
    stalls: float = 0.0


@dataclass(frozen=True, slots=True)
class Outage:
    """For a while a location's calls come to nothing, or everybody's: HighLevel fails, answers get lost on their way (half
    of the requests, too), it takes requests in and never answers, connections are reset, or others use the limit up."""

    at: int  # ms after the world's start
    lasts_ms: int
    location: str | None = None  # None: all
    how: Away = "5xx"

    @property
    def over(self) -> int:
        return self.at + self.lasts_ms


@dataclass(frozen=True, slots=True)
class Refusal:
    """From some moment on a location's token is refused. In the end there is another one, or it is accepted again."""

    location: str
    at: int  # ms after the world's start
    how: How
    renewed: int = never
    cured: int = never

    @property
    def over(self) -> int:
        return min(self.renewed, self.cured)


@dataclass(frozen=True, slots=True)
class Day:
    """How many calls a location may make in a day, and when HighLevel's first one ends."""

    calls: int
    ends: int  # ms after the world's start
    told: bool = True  # answers say what is left of it, and until when

    def number(self, ms: int) -> int:
        """Which day it is so long after the world's start."""
        return (ms - self.ends) // day_ms

    def rest(self, ms: int) -> int:
        return self.ends + (self.number(ms) + 1) * day_ms - ms


@dataclass(frozen=True, slots=True)
class Weather:
    """What goes wrong at HighLevel, as shares of calls, until it clears up."""

    until: int = 0  # ms after the world's start
    unavailable: float = 0.0  # 5xx
    lost: float = 0.0  # the answer never comes; half of the requests didn't arrive either
    throttled: float = 0.0  # a 429 though the limit is kept: other programs share it
    outages: tuple[Outage, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cursors_refused: frozenset[str] = frozenset()  # locations whose second pages are refused
    day: Day | None = None  # None: as many calls as one likes

    @property
    def over(self) -> int:
        """When the last outage or refusal is over, ms after the world's start; far before it, if there are none."""
        return max([*(one.over for one in self.outages), *(one.over for one in self.refusals)], default=-never)
