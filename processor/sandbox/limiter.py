"""Limit the calls of one location, as strict as contract.md §2 can be read: at most 100 calls in *any* 10 s.

Times are integer microseconds: milliseconds would blur the side of a window's edge that a call lies on.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

max_per_window: Final = 10_000  # the limiter counts each call of other programs, also after our long silence
max_per_day: Final = 1_000_000_000

LimitReached = Literal["", "burst", "day"]


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Set the limits of a location. Raise ValueError with the name that the command line and the admin API have for a field."""

    per_window: int = 100
    window_ms: int = 10_000
    per_day: int = 200_000
    day_ms: int = 86_400_000  # shorter in tests of the daily reset
    foreign: int = 0  # calls of other programs in a window, evenly spread, that spend the same budget
    refusals_count: bool = False  # True if a refused call spends budget too: contract.md §11.4 doesn't know

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("limit", self.per_window, 1, max_per_window),
            ("daily", self.per_day, 0, max_per_day),
            ("foreign", self.foreign, 0, max_per_window),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name}: not a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True)
class Admission:
    """Hold the server's decision about one arrival. `remaining` and `left_today` are the budget left after it."""

    limits: RateLimits
    refused: LimitReached
    remaining: int
    left_today: int
    day_reset_ms: int
    wait_ms: int  # until a call would be accepted again; 0 for an accepted call


class RateLimiter:
    """Count the calls of windows and days. Of two calls exactly `window_ms` apart, the first has left when the second comes."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits
        self.foreign = 0  # calls of other programs, up to our last arrival
        self.foreign_refused = 0
        self._window: deque[int] = deque()
        self._day_began: int | None = None
        self._today = 0
        self._foreign_began: int | None = None
        self._foreign_made = 0  # calls of other programs since then

    def arrive(self, at: int) -> Admission:
        self._foreign_arrive(at)
        refused = self._judge(at)
        limits, window = self.limits, self._window
        return Admission(
            limits,
            refused,
            remaining=max(0, limits.per_window - len(window)),
            left_today=max(0, limits.per_day - self._today),
            day_reset_ms=self._day_left(at) // 1_000,
            wait_ms=-(-self._wait(refused, at) // 1_000),
        )

    def change(self, limits: RateLimits, at: int) -> None:
        """Replace the limits. Spent budget stays spent. Other programs start, or change their pace, now."""
        self._foreign_arrive(at)
        if limits.foreign != self.limits.foreign:
            self._foreign_began, self._foreign_made = at, 0
        self.limits = limits

    def end_day(self, at: int) -> None:
        """End the server's day at this time, and again each `day_ms` later."""
        self._day_began = at - self.limits.day_ms * 1_000

    def _judge(self, at: int) -> LimitReached:
        limits, window = self.limits, self._window
        self._expire(at)
        refused: LimitReached = ""
        if len(window) >= limits.per_window:
            refused = "burst"
        elif self._today >= limits.per_day:
            refused = "day"
        if not refused or limits.refusals_count:
            window.append(at)
        self._today += not refused
        return refused

    def _foreign_arrive(self, at: int) -> None:
        """Count all calls of other programs up to now, in order. Their times follow from when they began."""
        pace, window_us = self.limits.foreign, self.limits.window_ms * 1_000
        if pace and self._foreign_began is None:
            self._foreign_began = at
        while pace and (came := (self._foreign_began or 0) + (self._foreign_made + 1) * window_us // pace) <= at:
            self._foreign_made += 1
            self.foreign += 1
            self.foreign_refused += bool(self._judge(came))

    def _expire(self, at: int) -> None:
        while self._window and self._window[0] <= at - self.limits.window_ms * 1_000:
            self._window.popleft()
        if self._day_began is None:
            self._day_began = at
        days = (at - self._day_began) // (self.limits.day_ms * 1_000)
        if days > 0:
            self._day_began += days * self.limits.day_ms * 1_000
            self._today = 0

    def _day_left(self, at: int) -> int:
        return (self._day_began or 0) + self.limits.day_ms * 1_000 - at

    def _wait(self, refused: str, at: int) -> int:
        """Return the µs until there is room, provided that no other call takes it."""
        if refused == "burst":
            return self._window[len(self._window) - self.limits.per_window] + self.limits.window_ms * 1_000 - at
        return self._day_left(at) if refused else 0
