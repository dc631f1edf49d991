"""Count each call where it arrives: the location's limiter judges it, the location's log records it. Time is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from processor.sandbox.arrival_log import ArrivalLog
from processor.sandbox.limiter import Admission, RateLimiter, RateLimits

unattributed: Final = ""  # the location of calls that name none: they are recorded and never refused


@dataclass(frozen=True, slots=True)
class Arrival:
    admission: Admission
    log: ArrivalLog  # kept by the call, so a reset in between doesn't mix two logs
    number: int

    def set_status(self, status: int) -> None:
        self.log.set_status(self.number, status)


class Gate:
    """Admit and record the calls of all locations. Times are integer microseconds since 1970, each no earlier than the last one."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits  # of every location without limits of its own
        self.logs: dict[str, ArrivalLog] = {}
        self._own: dict[str, dict[str, Any]] = {}  # location → its own fields of RateLimits, of several types
        self._limiters: dict[str, RateLimiter] = {}
        self._day_ends: int | None = None  # None: each location's day begins with its first call

    def arrive(self, location: str, kind: str, at: int) -> Arrival:
        limiter = self._limiter(location) if location != unattributed else RateLimiter(self.limits)
        admission = limiter.arrive(at)
        log = self.logs.get(location)
        if log is None:
            log = self.logs[location] = ArrivalLog(self.limits.window_ms * 1_000)
        return Arrival(admission, log, log.arrive(at, kind, bool(admission.refused)))

    def limits_of(self, location: str) -> RateLimits:
        return replace(self.limits, **self._own.get(location, {}))

    def change(self, location: str | None, changes: Mapping[str, Any], at: int) -> None:
        """Change fields of RateLimits for one location, or the default of all locations. None resets a location's own field.

        Raise ValueError, before anything has changed, for a value out of range.
        """
        if location is None:
            self.limits = replace(self.limits, **changes)
        else:
            own = {**self._own.get(location, {}), **changes}
            own = {name: value for name, value in own.items() if value is not None}
            replace(self.limits, **own)  # raises before anything has changed
            self._own[location] = own
            self._limiter(location)  # other programs call from now on
        for name, limiter in self._limiters.items():
            limiter.change(self.limits_of(name), at)

    def end_day(self, location: str | None, at: int) -> None:
        """End the server's day at this time, for one location or for all."""
        if location is None:
            self._day_ends = at
        for limiter in self._limiters.values() if location is None else (self._limiter(location),):
            limiter.end_day(at)

    def reset_logs(self) -> None:
        """Start all logs anew. Spent budget stays spent."""
        self.logs.clear()

    def report(self) -> dict[str, Any]:  # a JSON object, as the admin API shows it
        reports = {location: self._report(location) for location in sorted(self.logs) if location != unattributed}
        unknown = self.logs[unattributed].report() if unattributed in self.logs else None
        every = [*reports.values(), unknown] if unknown else list(reports.values())
        return {
            "limit": self.limits.per_window,
            "window_ms": self.limits.window_ms,
            "locations": reports,
            "unattributed": unknown,
            "totals": {
                "locations": len(reports),
                **{name: sum(report[name] for report in every) for name in ("arrivals", "accepted", "refused")},
                "worst_window": max((report["worst_window"] for report in reports.values()), default=0),
            },
        }

    def _report(self, location: str) -> dict[str, Any]:
        """Return our own calls, and beside them the calls of other programs up to our last one."""
        limiter = self._limiters[location]
        foreign = {"arrivals": limiter.foreign, "refused": limiter.foreign_refused}
        return {**self.logs[location].report(), "limit": limiter.limits.per_window, "foreign": foreign}

    def _limiter(self, location: str) -> RateLimiter:
        limiter = self._limiters.get(location)
        if limiter is None:
            limiter = self._limiters[location] = RateLimiter(self.limits_of(location))
            if self._day_ends is not None:
                limiter.end_day(self._day_ends)
        return limiter
