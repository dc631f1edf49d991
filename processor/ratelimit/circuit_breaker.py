"""The circuit breaker of a location: five failures in a row open it, and then one call at a time probes (DESIGN §7).

A failure is a response that doesn't come, or that says nothing but "not now". Every other probe carries no lead's
question: HighLevel may fail on the very question that is pending. Pure; times are ms since 1970.
"""

from dataclasses import dataclass
from typing import Final

opens_after: Final = 5  # failures in a row
probe_first_ms: Final = 1_000
probe_at_most_ms: Final = 60_000  # the caller's jitter adds up to a quarter


@dataclass(slots=True)
class CircuitBreaker:
    """The state of one location's breaker. Its fields are stored in the location's document."""

    failures: int = 0  # in a row, until it opens
    probes: int = 0  # failed probes in a row, since it opened
    probe_at: int = 0  # no probe is granted before

    @property
    def open(self) -> bool:
        """True if only probes may be granted."""
        return self.failures >= opens_after

    @property
    def delay_ms(self) -> int:
        """Return the delay from a failed probe to the next probe."""
        return min(probe_first_ms << min(self.probes, 10), probe_at_most_ms)

    @property
    def probe_query_due(self) -> bool:
        """True if the next probe should not carry a lead's question. The first probe always does."""
        return self.open and self.probes % 2 == 1

    def is_probe(self, granted: int) -> bool:
        """True if a call granted at that time is a probe. Calls granted before the breaker opened are not."""
        return self.open and granted >= self.probe_at

    def fail(self, granted: int, at: int) -> None:
        """Count the failure of a call granted then. If it opens the breaker or was its probe, the next comes `at`."""
        if self.is_probe(granted):
            self.probes, self.probe_at = self.probes + 1, at
        elif not self.open:
            self.failures += 1
            self.probe_at = at  # has no effect until the breaker opens

    def close(self) -> None:
        """Reset the breaker: HighLevel serves us."""
        self.failures = self.probes = self.probe_at = 0
