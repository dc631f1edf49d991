"""The ports of a runner: log, API, clock, and where its SQLite lies. The simulator brings its own."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from processor.events.cloudevents import Record
from processor.highlevel.requests import Call
from processor.highlevel.responses import Response
from processor.shard.store import OutRecord, Store
from processor.telemetry.catalogue import TelemetryEvent


class LogError(Exception):
    """The log failed us: what to do next is the type."""


class Fenced(LogError):
    """Someone else initialised our transactional id: end, and start again only when membership says so."""


class Broken(LogError):
    """A commit's outcome is unknown, or the broker is gone: close, and reopen from the changelog."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A slice of the changelog, in order: rows, the position after it, and the end that restoring goes up to."""

    rows: Sequence[tuple[str, bytes | None]]
    position: int
    end: int


class Log(Protocol):
    """One partition's side of Kafka: one producer, one consumer, nothing shared. All offsets are next offsets."""

    identity: str  # cluster id and changelog topic, known after open(): a state file of another log is none of ours

    async def open(self) -> None:
        """Initialise the producer, which fences any zombie and ends its transaction. Raises Broken or Fenced."""

    async def changelog(self) -> tuple[int, int]:
        """Begin offset and high watermark of the changelog, asked for after open()."""

    def restore(self, start: int, end: int) -> AsyncIterator[Restored]:
        """Committed changelog rows of [start, end), in slices; ends when the position has reached `end`."""

    async def assign(self, positions: Mapping[str, int]) -> Mapping[str, str]:
        """Read the input topics from these positions; a missing one from the log's start. Returns alerts: topic → why."""

    async def poll(self, limit: int) -> Sequence[Record]:
        """Wait for records, `sync.requests` first, at most `limit`. Cancelling it loses nothing."""

    def positions(self) -> Mapping[str, int]:
        """The consumer's position by topic after what poll() has *returned*, never beyond; passes transaction markers."""

    async def changes_end(self) -> int:
        """Last stable offset of `lead.changes` as of now."""

    async def commit(self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        """One transaction. Returns the changelog position after it (None: unknown). Raises Fenced or Broken."""

    async def close(self) -> None:
        """Leave everything, within a bound, also with the broker gone."""


class Api(Protocol):
    async def call(self, call: Call) -> Response:
        """Send the request that the call's permit pays for; it has exactly one response."""

    def fingerprint(self, location: str) -> str | None:
        """Return the fingerprint of the token that speaks for the location now. None: there is none."""


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since 1970: wall time when the process started plus monotonic time since."""

    def settled_at(self) -> int:
        """Return since when this clock may be trusted; nothing is granted before.

        A new value means that the wall clock was stepped, and that this clock was set by it.
        """


class StateFile(Protocol):
    """The SQLite of one shard, ours alone until closed."""

    store: Store
    origin: str  # kept | fresh | private

    def close(self) -> None: ...

    def discard(self) -> None:
        """It can't be trusted: `close` also removes it, so that the next opening makes a fresh one."""


class OpenState(Protocol):
    def __call__(self, identity: str, begin: int, end: int) -> StateFile:
        """The state file of this changelog, if it is a cache of it and lies within [begin, end]; else a fresh one."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world outside, as one partition sees it."""

    log: Callable[[], Log]  # a new one for each opening
    api: Api
    clock: Clock
    open_state: OpenState
    record: Callable[[TelemetryEvent], None]
