"""The worker's clock, and its handling of a stepped wall clock."""

import time
from collections.abc import Callable
from typing import Final

from processor.telemetry.catalogue import TelemetryEvent, WallClockStepped

off_at_most_ms: Final = 500  # DESIGN §1: further off the wall clock, it was stepped …
unsettled_ms: Final = 25_000  # … and nothing is granted for so long: slots granted by the old time are over by then


class WallClock:
    """Wall time when the process started plus monotonic time since, so that it doesn't step during a turn."""

    def __init__(
        self,
        record: Callable[[TelemetryEvent], None],
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._record, self._wall_ns, self._monotonic_ns = record, wall_ns, monotonic_ns
        self._offset = self._wall_offset()
        self._trusted_at = 0

    def now(self) -> int:
        return self._offset + self._monotonic_ns() // 1_000_000

    def settled_at(self) -> int:
        """Return since when this clock may be trusted. After a step of the wall clock, follow it and start anew."""
        offset = self._wall_offset()
        if abs(offset - self._offset) > off_at_most_ms:
            self._record(WallClockStepped(offset - self._offset))
            self._offset = offset
            self._trusted_at = self.now() + unsettled_ms
        return self._trusted_at

    def _wall_offset(self) -> int:
        return self._wall_ns() // 1_000_000 - self._monotonic_ns() // 1_000_000
