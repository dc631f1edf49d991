"""Which partitions are ours, as the consumer group says. It guards nothing: a log is fenced by its producer.

The member itself is `log.join`; here is what was heard of it. Times are monotonic milliseconds, the event loop's.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Self

from processor.kafka import Heard, Intervals, KafkaConfig, join

log: Final = logging.getLogger(__name__)
leave_within_s: Final = 2.0
static_session_ms: Final = 30_000  # a static member leaves no word: so long nothing moves, and its successor may come


class Membership:
    """A member of the group for as long as it is entered. What it hears it only notes; who wants to know asks or
    awaits, and is told `Replaced` once another worker has joined under our instance id."""

    def __init__(
        self,
        config: KafkaConfig,
        intervals: Intervals | None = None,
        member: Callable[[KafkaConfig, Intervals, Heard], Coroutine[Any, Any, None]] = join,
    ) -> None:
        static = config.group_instance_id is not None
        self._config, self._member = config, member
        self._intervals = intervals or (Intervals(session_ms=static_session_ms) if static else Intervals())
        self._owned: frozenset[int] = frozenset()
        self._assignments = 0
        self._confirmed_at: int | None = None
        self._joined = False
        self._reached: dict[tuple[str, int], int] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._member(self._config, self._intervals, self), name="membership")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task], timeout=leave_within_s)
        self._forget()

    @property
    def joined(self) -> bool:
        """We have an assignment, though perhaps an empty one."""
        return self._joined

    def owned(self) -> frozenset[int]:
        """What was assigned last. It stays ours while the group rebalances: what comes back was never gone, and what
        doesn't is told with the new assignment; before that one nobody else can have it."""
        return self._owned

    def changed(self) -> Coroutine[Any, Any, frozenset[int]]:
        """What is ours after the next assignment or loss, next as of this call, whenever it is awaited. Raises
        Replaced."""
        seen = self._assignments

        async def wait() -> frozenset[int]:
            await self._until(lambda: self._assignments != seen)
            return self._owned

        return wait()

    def confirmed_at(self) -> int | None:
        """When the last question left that was answered "still a member": nothing had been given away by then."""
        return self._confirmed_at

    async def confirmed_after(self, since_ms: int) -> None:
        """Wait for a confirmation that was asked for later than `since_ms`; what is ours by then, `owned` says. Raises
        Replaced.

        Trap: whoever is fenced and reopens at once fences the rightful owner, who reopens, and so on."""
        await self._until(lambda: self._confirmed_at is not None and self._confirmed_at > since_ms)

    def read_to(self, partition: int, positions: Mapping[str, int]) -> None:
        """How far a partition of ours was read, by topic: for lag tools."""
        self._reached.update({(topic, partition): position for topic, position in positions.items()})

    def assigned(self, partitions: frozenset[int], asked_ms: int) -> None:
        self._owned, self._joined = partitions, True
        self._assignments += 1
        self._reached = {at: position for at, position in self._reached.items() if at[1] in partitions}
        self.confirmed(asked_ms)

    def confirmed(self, asked_ms: int) -> None:
        self._confirmed_at = asked_ms
        self._tell()

    def lost(self, reason: str) -> None:
        log.warning("no member of group %s any more: %s", self._config.group_id, reason)
        self._forget()

    def reached(self) -> Mapping[tuple[str, int], int]:
        return dict(self._reached)

    def _forget(self) -> None:
        self._owned, self._joined, self._reached = frozenset(), False, {}
        self._assignments += 1
        self._tell()

    async def _until(self, true: Callable[[], bool]) -> None:
        while True:
            if self._task is not None and self._task.done() and not self._task.cancelled():
                self._task.result()  # replaced, or a fault of ours: fail with it rather than wait for ever
            if true():
                return
            await self._news.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        _ = task.cancelled() or task.exception()  # `_until` raises it where someone waits for news
        self._forget()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
