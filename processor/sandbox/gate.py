"""Where each call arrives: its location's limiter judges it, its location's record keeps it. Pure: time is an argument."""

from dataclasses import dataclass
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
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.records: dict[str, Record] = {}
        self._limiters: dict[str, Limiter] = {}

    def arrive(self, location: str, kind: str, at: int) -> Arrival:
        """`at` in microseconds, never earlier than the last one of the location."""
        limiter = self._limiters.get(location)
        if limiter is None:
            limiter = Limiter(self.limits)
            if location != unattributed:
                self._limiters[location] = limiter
        verdict = limiter.arrive(at)
        record = self.records.get(location)
        if record is None:
            record = self.records[location] = Record(self.limits.window_ms * 1_000)
        return Arrival(verdict, record, record.arrive(at, kind, bool(verdict.refused)))

    def forget(self) -> None:
        """The record starts anew; what was spent stays spent."""
        self.records.clear()

    def report(self) -> dict[str, Any]:  # a JSON object, as the admin API shows it
        reports = {location: record.report() for location, record in sorted(self.records.items())}
        stray = reports.pop(unattributed, None)
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
