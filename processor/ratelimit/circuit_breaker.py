"""The circuit breaker of a location: five failures in a row open it, and then one call at a time probes (DESIGN §7).

A failure is an answer that doesn't come, or that says nothing but "not now". Every other probe is of no lead's: whatever
is pending may be what HighLevel fails on. Pure; times in ms since 1970.
"""

from dataclasses import dataclass
from typing import Final

opens_after: Final = 5  # failures in a row
probe_first_ms: Final = 1_000
probe_at_most_ms: Final = 60_000  # and a little more: the delay is jittered


@dataclass(slots=True)
class CircuitBreaker:
    failures: int = 0  # in a row, until it opens
    probes: int = 0  # failed ones in a row, since it opened
    probe_at: int = 0  # the next one isn't granted before

    @property
    def open(self) -> bool:
        return self.failures >= opens_after

    @property
    def delay_ms(self) -> int:
        """From a failed probe to the next one."""
        return min(probe_first_ms << min(self.probes, 10), probe_at_most_ms)

    @property
    def probe_query_due(self) -> bool:
        """The next probe is to be of no lead's. The first one isn't: it may bring what is wanted."""
        return self.open and self.probes % 2 == 1

    def is_probe(self, granted: int) -> bool:
        """Calls granted before it opened come back too, and tell nothing new."""
        return self.open and granted >= self.probe_at

    def fail(self, granted: int, at: int) -> None:
        """A call granted then has failed; if it opens the breaker or was its probe, the next one comes `at`."""
        if self.is_probe(granted):
            self.probes, self.probe_at = self.probes + 1, at
        elif not self.open:
            self.failures += 1
            self.probe_at = at  # of no effect until it opens

    def close(self) -> None:
        """HighLevel serves us."""
        self.failures = self.probes = self.probe_at = 0
