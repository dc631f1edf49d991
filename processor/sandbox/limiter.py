"""The rate limiter of one location, as strict as contract.md §2 can be read: at most 100 calls in *any* 10 s. Pure.

Times are integer microseconds: milliseconds would blur which side of a window's edge a call lies on.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

most_per_window: Final = 10_000  # each call of other programs is judged by itself, also those of a long silence of ours
most_per_day: Final = 1_000_000_000

Refusal = Literal["", "burst", "day"]


@dataclass(frozen=True, slots=True)
class Limits:
    """ValueError names what is out of range, by the name that the command line and the admin API have for it."""

    per_window: int = 100
    window_ms: int = 10_000
    per_day: int = 200_000
    day_ms: int = 86_400_000  # shorter in tests of the daily reset
    foreign: int = 0  # calls in a window, evenly spread, of other programs that spend the same budget
    refusals_count: bool = False  # whether a refused call spends budget too: contract.md §11.4 doesn't know

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("limit", self.per_window, 1, most_per_window),
            ("daily", self.per_day, 0, most_per_day),
            ("foreign", self.foreign, 0, most_per_window),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name}: not a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server says of one arrival, by which limits. `remaining` and `left_today` are what is left after it."""

    limits: Limits
    refused: Refusal
    remaining: int
    left_today: int
    day_reset_ms: int
    wait_ms: int  # until a call would be let in again; 0 when this one was


class Limiter:
    """A window is half-open: of two calls exactly `window_ms` apart, the first has left when the second comes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.foreign = 0  # calls of other programs, up to our last arrival
        self.foreign_refused = 0
        self._window: deque[int] = deque()
        self._day_began: int | None = None
        self._today = 0
        self._others_began: int | None = None
        self._others = 0  # of their calls since then

    def arrive(self, at: int) -> Verdict:
        self._others_arrive(at)
        refused = self._judge(at)
        limits, window = self.limits, self._window
        return Verdict(
            limits,
            refused,
            remaining=max(0, limits.per_window - len(window)),
            left_today=max(0, limits.per_day - self._today),
            day_reset_ms=self._day_left(at) // 1_000,
            wait_ms=-(-self._wait(refused, at) // 1_000),
        )

    def change(self, limits: Limits, at: int) -> None:
        """What was spent stays spent. Other programs begin, or change their pace, now."""
        self._others_arrive(at)
        if limits.foreign != self.limits.foreign:
            self._others_began, self._others = at, 0
        self.limits = limits

    def end_day(self, at: int) -> None:
        """The server's day ends then, and each `day_ms` later."""
        self._day_began = at - self.limits.day_ms * 1_000

    def _judge(self, at: int) -> Refusal:
        limits, window = self.limits, self._window
        self._forget(at)
        refused: Refusal = ""
        if len(window) >= limits.per_window:
            refused = "burst"
        elif self._today >= limits.per_day:
            refused = "day"
        if not refused or limits.refusals_count:
            window.append(at)
        self._today += not refused
        return refused

    def _others_arrive(self, at: int) -> None:
        """All of their calls up to now, in order: their times follow from when they began."""
        pace, window_us = self.limits.foreign, self.limits.window_ms * 1_000
        if pace and self._others_began is None:
            self._others_began = at
        while pace and (came := (self._others_began or 0) + (self._others + 1) * window_us // pace) <= at:
            self._others += 1
            self.foreign += 1
            self.foreign_refused += bool(self._judge(came))

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
        """Until there is room, should nobody else take it."""
        if refused == "burst":
            return self._window[len(self._window) - self.limits.per_window] + self.limits.window_ms * 1_000 - at
        return self._day_left(at) if refused else 0
