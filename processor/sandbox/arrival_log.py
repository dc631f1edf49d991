"""Record each call that arrives for one location, also a refused one: the evidence that a client kept its budget.

Times are integer microseconds since 1970. A call takes 11 bytes, so a log of a million calls is small.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

no_status: Final = 0  # of a call without a whole response
allowed_per_window: Final = 90  # calls that a client may plan (contract.md §2, rule 2); `use` is their share


@dataclass(slots=True)
class ArrivalLog:
    window_us: int = 10_000_000
    kinds: list[str] = field(default_factory=list)
    worst: int = 0  # most arrivals in any sliding window
    refused: int = 0
    _times: "array[int]" = field(default_factory=lambda: array("q"))
    _kinds: "array[int]" = field(default_factory=lambda: array("B"))
    _statuses: "array[int]" = field(default_factory=lambda: array("H"))
    _window_start: int = 0  # first arrival of the window that ends now
    _stretch_start: int = 0  # first arrival of the stretch without a gap longer than a window
    _busiest: tuple[int, int] = (0, 0)

    def arrive(self, at: int, kind: str, refused: bool) -> int:
        """Record a call and return its number, for `set_status`."""
        times, number = self._times, len(self._times)
        if number and at - times[-1] > self.window_us:
            self._stretch_start = number
        times.append(at)
        if kind not in self.kinds:
            self.kinds.append(kind)
        self._kinds.append(self.kinds.index(kind))
        self._statuses.append(no_status)
        while times[self._window_start] <= at - self.window_us:
            self._window_start += 1
        self.worst = max(self.worst, number + 1 - self._window_start)
        self.refused += refused
        first, last = self._busiest
        if number + 1 - self._stretch_start > last - first:
            self._busiest = (self._stretch_start, number + 1)
        return number

    def set_status(self, number: int, status: int) -> None:
        self._statuses[number] = status

    def report(self) -> dict[str, Any]:  # a JSON object, as the admin API shows it
        times = self._times
        first, last = self._busiest
        return {
            "arrivals": len(times),
            "accepted": len(times) - self.refused,
            "refused": self.refused,
            "worst_window": self.worst,
            "first_ms": round(times[0] / 1_000, 3) if times else None,
            "last_ms": round(times[-1] / 1_000, 3) if times else None,
            "busy": {
                "arrivals": last - first,
                "seconds": round((times[last - 1] - times[first]) / 1e6, 3) if last else 0.0,
                "use": self._use(),
            },
            "calls": {self.kinds[kind]: count for kind, count in sorted(Counter(self._kinds).items())},
            "statuses": {str(status): count for status, count in sorted(Counter(self._statuses).items())},
        }

    def _use(self) -> float | None:
        """Return the share of the allowed rate that the longest stretch without an idle window used, None if it is too short."""
        first, last = self._busiest
        if last - first < 2 or self._times[last - 1] == self._times[first]:
            return None
        elapsed = self._times[last - 1] - self._times[first]
        return round((last - first - 1) * self.window_us / elapsed / allowed_per_window, 4)

    def entries(self) -> list[tuple[float, str, int]]:
        """Return each arrival: ms since 1970, kind, status (0: no whole response)."""
        return [
            (round(at / 1_000, 3), self.kinds[kind], status)
            for at, kind, status in zip(self._times, self._kinds, self._statuses, strict=True)
        ]
