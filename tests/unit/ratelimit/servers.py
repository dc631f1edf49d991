"""Six servers, each with its own reading of "100 calls per 10 s", as rate limiters are built elsewhere.

Calls arrive in the order of time. A refused call counts as well, which is the strictest reading, unless `refuse` takes
it back. The servers share nothing with the budget under test.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

window_ms: Final = 10_000
limit: Final = 100


class Server(Protocol):
    limit: int
    worst: int  # the highest load that any call found, itself included

    def arrive(self, at: int) -> int:
        """Let a call arrive at `at` ms and return the load with it. Above `limit` a server would refuse the call."""

    def refuse(self) -> None:
        """Stop counting the call that has just arrived: it isn't served."""


class SlidingLog:
    """Count the calls in the last 10 s."""

    __slots__ = ("_log", "limit", "worst")

    def __init__(self, limit: int = limit) -> None:
        self.limit, self.worst = limit, 0
        self._log = deque[int]()

    def arrive(self, at: int) -> int:
        log = self._log
        log.append(at)
        while log[0] <= at - window_ms:
            log.popleft()
        load = len(log)
        if load > self.worst:
            self.worst = load
        return load

    def refuse(self) -> None:
        self._log.pop()


class FixedWindow:
    """Count the calls since the last multiple of 10 s, plus the phase."""

    __slots__ = ("_count", "_ends", "limit", "phase_ms", "worst")

    def __init__(self, limit: int = limit, phase_ms: int = 0) -> None:
        self.limit, self.worst, self.phase_ms = limit, 0, phase_ms
        self._ends = self._count = 0

    def arrive(self, at: int) -> int:
        if at >= self._ends:
            self._ends, self._count = self._end(at), 0
        self._count += 1
        if self._count > self.worst:
            self.worst = self._count
        return self._count

    def refuse(self) -> None:
        self._count -= 1

    def _end(self, at: int) -> int:
        """Return the end of the window whose first call arrives at `at`."""
        return at - (at - self.phase_ms) % window_ms + window_ms


class FirstHit(FixedWindow):
    """Count the calls since the first one after the last window ended: that call starts the next window."""

    __slots__ = ()

    def _end(self, at: int) -> int:
        return at + window_ms


class TokenBucket:
    """Count the tokens missing from a bucket that holds `limit` and refills evenly in 10 s."""

    __slots__ = ("_last", "_missing", "limit", "worst")

    def __init__(self, limit: int = limit) -> None:
        self.limit, self.worst = limit, 0
        self._missing = self._last = 0  # in 1/10,000 of a token, so that all is whole

    def arrive(self, at: int) -> int:
        missing = self._missing - (at - self._last) * self.limit
        self._missing = missing = max(0, missing) + window_ms
        self._last = at
        load = -(-missing // window_ms)
        if load > self.worst:
            self.worst = load
        return load

    def refuse(self) -> None:
        self._missing -= window_ms


class Gcra:
    """Run the generic cell rate algorithm with a burst of `limit`. Its load is how many calls the expected arrival leads."""

    __slots__ = ("_expected", "limit", "worst")

    def __init__(self, limit: int = limit) -> None:
        self.limit, self.worst = limit, 0
        self._expected = 0  # in 1/limit ms: the interval between calls needn't be whole

    def arrive(self, at: int) -> int:
        now = at * self.limit
        self._expected = expected = max(now, self._expected) + window_ms
        load = -((now - expected) // window_ms)
        if load > self.worst:
            self.worst = load
        return load

    def refuse(self) -> None:
        self._expected -= window_ms


class SlidingCounter:
    """Add this window's count to the share of the last window's count that still lies in the last 10 s."""

    __slots__ = ("_before", "_began", "_count", "limit", "phase_ms", "worst")

    def __init__(self, limit: int = limit, phase_ms: int = 0) -> None:
        self.limit, self.worst, self.phase_ms = limit, 0, phase_ms
        self._began, self._before, self._count = -2 * window_ms, 0, 0

    def arrive(self, at: int) -> int:
        into = at - self._began
        if into >= window_ms:
            self._before = self._count if into < 2 * window_ms else 0
            self._began, self._count = at - (at - self.phase_ms) % window_ms, 0
            into = at - self._began
        self._count += 1
        load = self._count - (self._before * (into - window_ms) // window_ms)  # rounded up: 100.1 is more than 100
        if load > self.worst:
            self.worst = load
        return load

    def refuse(self) -> None:
        self._count -= 1


def worst(server: Server, arrivals: Iterable[int]) -> int:
    """Return the highest load that any of these calls finds. They needn't be in order."""
    for at in sorted(arrivals):
        server.arrive(at)
    return server.worst
