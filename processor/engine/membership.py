"""The consumer group's word on the partitions that are ours. It guards nothing: a log is fenced by its producer.

The member itself is behind `group.py`'s port; this file keeps its news. Times are milliseconds of the event loop.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Self

from processor.engine.group import JoinGroup

_logger: Final = logging.getLogger(__name__)
_leave_within_s: Final = 2.0


class Membership:
    """A member of the group, from `async with` on until its end.

    It only notes the member's news; a caller asks for them or awaits them. What awaits raises InstanceReplaced once
    another worker has joined under our instance id.
    """

    def __init__(self, join: JoinGroup, group_id: str) -> None:
        self._join, self._group_id = join, group_id
        self._owned: frozenset[int] = frozenset()
        self._assignments = 0
        self._confirmed_at: int | None = None
        self._joined = False
        self._positions: dict[tuple[str, int], int] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._join(self), name="membership")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_leave_within_s)
        self._forget()

    @property
    def joined(self) -> bool:
        """True if there is an assignment, though perhaps an empty one."""
        return self._joined

    def owned(self) -> frozenset[int]:
        """Return the last assignment. It stays ours while the group rebalances.

        A partition that comes back was never gone. One that doesn't is missing from the next assignment, and before
        that assignment no other worker can have it.
        """
        return self._owned

    def changed(self) -> Coroutine[Any, Any, frozenset[int]]:
        """Return the partitions that are ours after the next assignment or loss, whenever this is awaited.

        "Next" counts from the call. Raises InstanceReplaced.
        """
        seen = self._assignments

        async def wait() -> frozenset[int]:
            await self._until(lambda: self._assignments != seen)
            return self._owned

        return wait()

    def confirmed_at(self) -> int | None:
        """Return when the last successful heartbeat left: no partition had been given away by then."""
        return self._confirmed_at

    async def confirmed_after(self, since_ms: int) -> None:
        """Wait for a heartbeat that left later than `since_ms` and was successful; then ask `owned`.

        Trap: a worker that is fenced and reopens at once fences the rightful owner, which reopens, and so on.
        Raises InstanceReplaced.
        """
        await self._until(lambda: self._confirmed_at is not None and self._confirmed_at > since_ms)

    def read_to(self, partition: int, positions: Mapping[str, int]) -> None:
        """Note the positions of one of our partitions by topic, for lag tools."""
        self._positions.update({(topic, partition): position for topic, position in positions.items()})

    def assigned(self, partitions: frozenset[int], asked_ms: int) -> None:
        self._owned, self._joined = partitions, True
        self._assignments += 1
        self._positions = {at: position for at, position in self._positions.items() if at[1] in partitions}
        self.confirmed(asked_ms)

    def confirmed(self, asked_ms: int) -> None:
        self._confirmed_at = asked_ms
        self._wake()

    def lost(self, reason: str) -> None:
        _logger.warning("no member of group %s any more: %s", self._group_id, reason)
        self._forget()

    def positions(self) -> Mapping[tuple[str, int], int]:
        return dict(self._positions)

    def _forget(self) -> None:
        self._owned, self._joined, self._positions = frozenset(), False, {}
        self._assignments += 1
        self._wake()

    async def _until(self, true: Callable[[], bool]) -> None:
        while True:
            if self._task is not None and self._task.done() and not self._task.cancelled():
                self._task.result()  # replaced, or a fault of ours: fail with it rather than wait forever
            if true():
                return
            await self._news.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        _ = task.cancelled() or task.exception()  # `_until` raises it in whatever awaits news
        self._forget()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
