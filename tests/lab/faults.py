"""The faults of HighLevel that a checker has to know: outages, refused tokens, a spent day and refused cursors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .workload.times import day_ms, never

RefusalKind = Literal["expired", "scope", "revoked", "location"]
OutageKind = Literal["5xx", "lost", "403", "hang", "reset", "429"]

refusal_responses: Final[Mapping[str, tuple[int, str]]] = {  # contract.md §3
    "expired": (401, "Invalid JWT"),
    "scope": (401, "The token is not authorized for this scope."),
    "revoked": (401, "Invalid Private Integration token"),
    "location": (403, "The token does not have access to this location."),
}


@dataclass(frozen=True, slots=True)
class Outage:
    """For a while the calls of one location, or of all, fail.

    HighLevel responds with an error, responses get lost (and half of the requests), it never responds, it resets
    connections, or other programs use the limit up.
    """

    at: int
    lasts_ms: int
    location: str | None = None  # None: all
    how: OutageKind = "5xx"

    @property
    def over(self) -> int:
        return self.at + self.lasts_ms


@dataclass(frozen=True, slots=True)
class Refusal:
    """HighLevel refuses the token of a location, until there is another one, or the token is accepted again."""

    location: str
    at: int
    how: RefusalKind
    renewed: int = never
    cured: int = never

    @property
    def over(self) -> int:
        return min(self.renewed, self.cured)


@dataclass(frozen=True, slots=True)
class Day:
    """The calls that a location may make in a day, and when the first day of HighLevel ends."""

    calls: int
    ends: int
    has_headers: bool = True  # response headers say what is left of the day

    def number(self, ms: int) -> int:
        return (ms - self.ends) // day_ms

    def rest(self, ms: int) -> int:
        """Return the ms until the day ends."""
        return self.ends + (self.number(ms) + 1) * day_ms - ms


@dataclass(frozen=True, slots=True)
class HighLevelFaults:
    """Shares of calls that fail until `until`, and faults with a time of their own."""

    until: int = 0
    unavailable: float = 0.0  # 5xx
    lost: float = 0.0  # the response never comes; half of the requests don't arrive either
    throttled: float = 0.0  # a 429 though the limit is kept: other programs share it
    outages: tuple[Outage, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cursors_refused: frozenset[str] = frozenset()  # locations whose second pages are refused
    day: Day | None = None  # None: no daily limit

    @property
    def over(self) -> int:
        """Return the end of the last outage or refusal; without any, a time far before the start."""
        return max([*(one.over for one in self.outages), *(one.over for one in self.refusals)], default=-never)

    def outages_of(self, location: str) -> list[Outage]:
        return [one for one in self.outages if one.location in (None, location)]

    def refusals_of(self, location: str) -> list[Refusal]:
        return [one for one in self.refusals if one.location == location]
