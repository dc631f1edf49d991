"""The rate limiter of one location, as strict as contract.md §2 can be read: at most 100 calls in *any* 10 s. Pure.

Times are integer microseconds: milliseconds would blur which side of a window's edge a call lies on.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Limits:
    per_window: int = 100
    window_ms: int = 10_000
    per_day: int = 200_000
    day_ms: int = 86_400_000  # shorter in tests of the daily reset
    refusals_count: bool = False  # whether a refused call spends budget too: contract.md §11.4 doesn't know


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server says of one arrival. `remaining` and `left_today` are what is left after it."""

    refused: Literal["", "burst", "day"]
    remaining: int
    left_today: int
    day_reset_ms: int
    wait_ms: int  # until a call would be let in again; 0 when this one was


class Limiter:
    """A window is half-open: of two calls exactly `window_ms` apart, the first has left when the second comes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._window: deque[int] = deque()
        self._day_began: int | None = None
        self._today = 0

    def arrive(self, at: int) -> Verdict:
        limits, window = self.limits, self._window
        self._forget(at)
        refused: Literal["", "burst", "day"] = ""
        if len(window) >= limits.per_window:
            refused = "burst"
        elif self._today >= limits.per_day:
            refused = "day"
        wait_us = self._wait(refused, at)
        if not refused or limits.refusals_count:
            window.append(at)
        self._today += not refused
        return Verdict(
            refused,
            remaining=max(0, limits.per_window - len(window)),
            left_today=limits.per_day - self._today,
            day_reset_ms=self._day_left(at) // 1_000,
            wait_ms=-(-wait_us // 1_000),
        )

    def _forget(self, at: int) -> None:
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
        if refused == "burst":
            return self._window[len(self._window) - self.limits.per_window] + self.limits.window_ms * 1_000 - at
        return self._day_left(at) if refused else 0
