"""The clock of a worker: the real one, over the wall clock of a simulated machine that may be off or set."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from processor.engine.clock import WallClock, unsettled_ms
from processor.telemetry.catalogue import TelemetryEvent

from .loop import VirtualLoop


@dataclass
class WallOffset:
    """The wall clock of a machine."""

    skew_ms: int = 0


class SkewedClock(WallClock):
    """It records when it was set, so that a checker can find the true time of a grant."""

    def __init__(self, loop: VirtualLoop, wall: WallOffset, record: Callable[[TelemetryEvent], None]) -> None:
        super().__init__(record, lambda: (loop.ms + wall.skew_ms) * 1_000_000, lambda: loop.ms * 1_000_000)
        self.loop = loop
        self.set: list[tuple[int, int]] = [(loop.ms, self._offset)]  # true time, off by

    def settled_at(self) -> int:
        trusted_at = super().settled_at()
        if self._offset != self.set[-1][1]:
            self.set.append((self.loop.ms, self._offset))
        return trusted_at

    def true(self, granted: int) -> int:
        """Return the true time of a grant at `granted` by this clock. Once set, a clock grants nothing for a while."""
        for since, off in reversed(self.set[1:]):
            if granted - off >= since + unsettled_ms:
                return granted - off
        return granted - self.set[0][1]

    def set_back(self, since: int, until: int) -> int:
        """Return the ms by which the clock was set back between two moments."""
        return sum(max(0, before - off) for (_, before), (at, off) in pairwise(self.set) if since <= at <= until)
