"""What `now` is: wall time when the process started plus monotonic time since, and what becomes of it when the wall steps."""

import time
from collections.abc import Callable
from typing import Final

from processor.telemetry.catalogue import TelemetryEvent, WallClockStepped

off_at_most_ms: Final = 500  # DESIGN §1: further off the wall clock than this, …
unsettled_ms: Final = 25_000  # … nothing is granted for so long: every slot granted by the old time is over by then


class WallClock:
    """Wall time when the process started plus monotonic time since: it doesn't step while a turn looks at it."""

    def __init__(
        self,
        record: Callable[[TelemetryEvent], None],
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._record, self._wall_ns, self._monotonic_ns = record, wall_ns, monotonic_ns
        self._offset = self._wall_offset()
        self._settled = 0

    def now(self) -> int:
        return self._offset + self._monotonic_ns() // 1_000_000

    def settled_at(self) -> int:
        """Looks whether the wall clock has been stepped; if so, ours is set by it, and not trusted for a while."""
        offset = self._wall_offset()
        if abs(offset - self._offset) > off_at_most_ms:
            self._record(WallClockStepped(offset - self._offset))
            self._offset = offset
            self._settled = self.now() + unsettled_ms
        return self._settled

    def _wall_offset(self) -> int:
        return self._wall_ns() // 1_000_000 - self._monotonic_ns() // 1_000_000
