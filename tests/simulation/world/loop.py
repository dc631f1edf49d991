"""Virtual time: an asyncio event loop without sockets, threads or sleep.

When nothing is ready, time jumps to the next timer.

Everything that runs belongs to the world or to one process (a worker). Each callback of a process is a *step*, so each
`await` that suspends ends at one: a process can be stopped dead there, and the loop calls it before each of its steps.
It can be frozen, too: what would have run meanwhile runs when it is thawed.
"""

import asyncio
import gc
import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Final, Protocol, TypeVar, TypeVarTuple

from tests.lab.workload.times import start_ms

spin_limit: Final = 20_000  # callbacks without time moving: far beyond any honest turn


class Stuck(Exception):
    """Nothing is ready and no timer is set, yet someone waits; or callbacks run for ever while time stands still."""


class Process(Protocol):
    @property
    def name(self) -> str: ...

    dead: bool
    frozen: bool  # nothing of it runs, while the world goes on
    aside: list[asyncio.Handle]  # what would have run meanwhile
    lands: bool  # what is on its way to the broker when it dies gets there
    deciding: int  # ends of transactions that are on their way

    def step(self) -> None:
        """Called before each callback of this process."""

    def die_here(self) -> None:
        """Die here, if it is to: though nothing is awaited, a transaction's end is on its way, or SQLite commits."""


T = TypeVar("T")
Args = TypeVarTuple("Args")
running: Final[ContextVar[Process | None]] = ContextVar("running", default=None)


class Due(float):
    """When a timer's time comes. A number is compared in C, and thousands of timers wait for their time."""

    __slots__ = ("timer",)
    timer: asyncio.TimerHandle


class VirtualLoop(asyncio.BaseEventLoop):
    """One thread, one time. The same callbacks give the same run."""

    _ready: deque[asyncio.Handle]  # of BaseEventLoop, which has no public door to it

    def __init__(self) -> None:
        super().__init__()
        self._timers: list[Due] = []  # a heap
        self._seconds = 0.0
        self._since_moved = 0
        self._world = Context()
        self.happened = 0  # what left a process, or came about in the world, so far

    def run_forever(self) -> None:
        """Run with a rare garbage collector, as in `app.py`: a run's objects stay for its checkers and have few cycles."""
        usual = gc.get_threshold()
        gc.set_threshold(10_000, 20, 100)
        try:
            super().run_forever()
        finally:
            gc.set_threshold(*usual)

    def time(self) -> float:
        return self._seconds

    @property
    def ms(self) -> int:
        """Ms since 1970 in this world. Timers are whole ms apart, so rounding only mends the float."""
        return start_ms + round(self._seconds * 1000)

    def after(self, delay_ms: int, callback: Callable[[], object]) -> None:
        """Do this later, even if the process that asked for it is dead by then."""
        self.happened += 1
        self.call_at(self._seconds + delay_ms / 1000, self._happen, callback, context=self._world)

    def thaw(self, process: Process) -> None:
        """Run now, in its order, what was due meanwhile."""
        process.frozen = False
        self._ready.extend(process.aside)
        process.aside.clear()

    def _happen(self, callback: Callable[[], object]) -> None:
        self.happened += 1
        callback()

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        due = Due(when)
        due.timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, due)
        return due.timer

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and timers[0].timer.cancelled():
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise Stuck("dead-lock: nothing is ready and no timer is set")
            if timers[0] > self._seconds:
                self._seconds, self._since_moved = float(timers[0]), 0
        now = self._seconds
        while timers and timers[0] <= now:
            ready.append(heapq.heappop(timers).timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(running)  # type: ignore[attr-defined]  # a handle's context has no public name
            if process is not None and process.frozen:
                process.aside.append(handle)
                continue
            self._since_moved += 1
            if self._since_moved > spin_limit:
                raise Stuck(f"spin: {spin_limit} callbacks and time stands still; the last one is {handle!r}")
            if process is not None:
                process.step()
                if handle.cancelled():
                    continue
            handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _write_to_self(self) -> None:
        """Do nothing: the loop never sleeps in a selector."""


def fulfil(future: asyncio.Future[T], value: T) -> None:
    """Set the result, unless the wait was cancelled."""
    if not future.done():
        future.set_result(value)


def refuse(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
