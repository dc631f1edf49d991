"""The port of a worker's membership in the consumer group. Times are milliseconds of the event loop's clock."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self


class InstanceReplaced(Exception):
    """Another worker has joined under our instance id: end, and don't come back. The message names the id."""


@dataclass(frozen=True, slots=True)
class GroupIntervals:
    session_ms: int = 10_000  # a dead member's partitions move after it
    heartbeat_ms: int = 3_000
    poll_ms: int = 300_000  # never reached: a member always waits for records

    @classmethod
    def of_member(cls, *, static: bool) -> Self:
        """Return a member's intervals. A static one leaves without a word: nothing moves until its session is over."""
        return cls(session_ms=30_000) if static else cls()


class GroupListener(Protocol):
    """Receives the news of a group member. Its methods return at once: no heartbeat leaves while one runs (trap)."""

    def assigned(self, partitions: frozenset[int], asked_ms: int) -> None:
        """Take over an assignment. A rebalance that gives the same partitions back calls this again."""

    def confirmed(self, asked_ms: int) -> None:
        """Note a successful heartbeat: when it left, the last assignment still held."""

    def lost(self, reason: str) -> None:
        """Note that the membership is over for now. The member joins again by itself."""

    def positions(self) -> Mapping[tuple[str, int], int]:
        """Return the positions by topic and partition, for lag tools."""


JoinGroup = Callable[[GroupListener], Coroutine[Any, Any, None]]
"""Be a member until cancelled and report to the listener. Raises InstanceReplaced."""


def monotonic_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
