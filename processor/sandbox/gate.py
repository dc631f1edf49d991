"""Where each call arrives: its location's limiter judges it, its location's record keeps it. Pure: time is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from processor.sandbox.limiter import Limiter, Limits, Verdict
from processor.sandbox.record import Record

unattributed: Final = ""  # a call that doesn't say which location it is for: recorded, never refused


@dataclass(frozen=True, slots=True)
class Arrival:
    verdict: Verdict
    record: Record  # held by the call, so a reset in between doesn't mix two records
    number: int

    def answered(self, status: int) -> None:
        self.record.answered(self.number, status)


class Gate:
    """Times are integer microseconds since 1970, each no earlier than the last one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits  # of every location that has none of its own
        self.records: dict[str, Record] = {}
        self._own: dict[str, dict[str, Any]] = {}  # location → its own fields of Limits, of several types
        self._limiters: dict[str, Limiter] = {}
        self._day_ends: int | None = None  # None: each location's day begins with its first call

    def arrive(self, location: str, kind: str, at: int) -> Arrival:
        limiter = self._limiter(location) if location != unattributed else Limiter(self.limits)
        verdict = limiter.arrive(at)
        record = self.records.get(location)
        if record is None:
            record = self.records[location] = Record(self.limits.window_ms * 1_000)
        return Arrival(verdict, record, record.arrive(at, kind, bool(verdict.refused)))

    def limits_of(self, location: str) -> Limits:
        return replace(self.limits, **self._own.get(location, {}))

    def change(self, location: str | None, changes: Mapping[str, Any], at: int) -> None:
        """Fields of Limits: of all locations that have no own ones, or a location's own (None: as all).

        ValueError: out of range."""
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
        """The server's day ends then: a location's, or everyone's."""
        if location is None:
            self._day_ends = at
        for limiter in self._limiters.values() if location is None else (self._limiter(location),):
            limiter.end_day(at)

    def forget(self) -> None:
        """The record starts anew; what was spent stays spent."""
        self.records.clear()

    def report(self) -> dict[str, Any]:  # a JSON object, as the admin API shows it
        reports = {location: self._report(location) for location in sorted(self.records) if location != unattributed}
        stray = self.records[unattributed].report() if unattributed in self.records else None
        every = [*reports.values(), stray] if stray else list(reports.values())
        return {
            "limit": self.limits.per_window,
            "window_ms": self.limits.window_ms,
            "locations": reports,
            "unattributed": stray,
            "totals": {
                "locations": len(reports),
                **{name: sum(report[name] for report in every) for name in ("arrivals", "accepted", "refused")},
                "worst_window": max((report["worst_window"] for report in reports.values()), default=0),
            },
        }

    def _report(self, location: str) -> dict[str, Any]:
        """Our own calls, and beside them how many other programs made up to our last one."""
        limiter = self._limiters[location]
        foreign = {"arrivals": limiter.foreign, "refused": limiter.foreign_refused}
        return {**self.records[location].report(), "limit": limiter.limits.per_window, "foreign": foreign}

    def _limiter(self, location: str) -> Limiter:
        limiter = self._limiters.get(location)
        if limiter is None:
            limiter = self._limiters[location] = Limiter(self.limits_of(location))
            if self._day_ends is not None:
                limiter.end_day(self._day_ends)
        return limiter
