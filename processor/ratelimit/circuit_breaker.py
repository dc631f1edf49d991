"""The circuit breaker of a location: five failures in a row open it, and then one call at a time probes (DESIGN §7).

A failure is a response that doesn't come, or one that only means "not now". Every other probe is a probe query, which
carries no lead's question: HighLevel may fail on the very question that is pending. Pure; times are ms since 1970.
"""

from dataclasses import dataclass
from typing import Final

opens_after: Final = 5  # failures in a row
probe_first_ms: Final = 1_000
probe_at_most_ms: Final = 60_000  # and a little more: the delay is jittered


@dataclass(slots=True)
class CircuitBreaker:
    """A circuit breaker keeps a location's calls back while HighLevel fails."""

    failures: int = 0  # in a row, until it opens
    probes: int = 0  # failed ones in a row since it opened
    probe_at: int = 0  # the next probe isn't granted before

    @property
    def open(self) -> bool:
        """True if only probes may be granted."""
        return self.failures >= opens_after

    @property
    def delay_ms(self) -> int:
        """Return the time from a failed probe to the next one."""
        return min(probe_first_ms << min(self.probes, 10), probe_at_most_ms)

    @property
    def probe_query_due(self) -> bool:
        """True if the next probe should not carry a lead's question. The first probe always does."""
        return self.open and self.probes % 2 == 1

    def is_probe(self, granted: int) -> bool:
        """True if a call granted then is a probe. Other calls were granted before the breaker opened: they don't count."""
        return self.open and granted >= self.probe_at

    def fail(self, granted: int, at: int) -> None:
        """Count a failed call. If it opens the breaker or was its probe, the next probe is due `at`."""
        if self.is_probe(granted):
            self.probes, self.probe_at = self.probes + 1, at
        elif not self.open:
            self.failures += 1
            self.probe_at = at  # without effect until it opens

    def close(self) -> None:
        """Let all calls pass: HighLevel serves the location again."""
        self.failures = self.probes = self.probe_at = 0
