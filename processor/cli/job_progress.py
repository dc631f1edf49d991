"""Compute how a job stands from the events that workers publish about it: phase, totals, rate, silence. Pure.

A Sync All lives in one partition. A backfill has ended when each of its partitions has; its figures are sums.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.events.fields import read_time

end_events: Final = {
    "sync.failed": "failed",
    "sync.cancelled": "cancelled",
    "sync.completed": "completed",
}  # worst first
job_events: Final = frozenset(("sync.started", "sync.progressed", "sync.paused", *end_events))
lead_outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
job_figures: Final = (
    *("leads_total", "leads_done", *lead_outcomes, "messages_imported"),
    *("calls_planned", "calls_spent", "calls_saved"),
)
rate_over_ms: Final = 10_000
silent_after_ms: Final = 30_000  # a live worker reports on its locations every 10 s


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job. Its data may lack any field, and hold fields that this version doesn't know."""

    kind: str
    data: Mapping[str, Any]
    partition: int
    at_ms: int

    @property
    def ended(self) -> bool:
        return self.kind in end_events

    @property
    def paused(self) -> bool:
        return not self.ended and (self.kind == "sync.paused" or self.data.get("reason") is not None)


class JobProgress:
    """The progress of one job. `location_id` None: a backfill. `live`: events of the past have been applied."""

    def __init__(self, request_id: str, location_id: str | None, partitions: int = 1, live: bool = True) -> None:
        self.request_id, self.location_id = request_id, location_id
        self.partitions, self.live = partitions, live
        self.queued: int | None = None  # the location's leads that wait for a call, in all lanes
        self.last_sign_ms = 0  # the last record of any worker, by our clock
        self._last: dict[int, JobEvent] = {}  # by partition; a Sync All's is 0
        self._started: dict[int, JobEvent] = {}
        self._done: deque[tuple[int, int]] = deque()  # time and leads done

    def apply(self, event: JobEvent) -> None:
        """Add the job's next event."""
        partition = event.partition if self.location_id is None else 0
        self._last[partition] = event
        if event.kind == "sync.started":
            self._started[partition] = event
        if self.location_id is None:
            self.partitions = read_count(event.data, "partitions") or self.partitions
        done = sum(read_count(last.data, "leads_done") or 0 for last in self._last.values())
        self._done.append((event.at_ms, done))
        while self._done[0][0] < event.at_ms - rate_over_ms:
            self._done.popleft()

    @property
    def ended(self) -> bool:
        """True if the job has ended. An end without `partitions` ends all: a dead-lettered request is answered so."""
        ends = [event for event in self._last.values() if event.ended]
        return len(ends) >= self.partitions or any(not read_count(event.data, "partitions") for event in ends)

    @property
    def planned(self) -> bool:
        """True if every partition has published its plan, or ended without one."""
        return self.ended or len(self._started.keys() | self._ended_partitions()) >= self.partitions

    @property
    def phase(self) -> str:
        """Return opening | running | paused | completed | failed | cancelled."""
        events = self._last.values()
        if self.ended:
            return next(name for kind, name in end_events.items() if any(event.kind == kind for event in events))
        running = [event for event in events if not event.ended]
        if running and all(event.paused for event in running):
            return "paused"
        return "running" if self._started or any(event.kind != "sync.paused" for event in events) else "opening"

    @property
    def ended_partitions(self) -> int:
        return len(self._ended_partitions())

    @property
    def reported_partitions(self) -> int:
        """Return how many partitions have published any event of the job."""
        return len(self._last)

    def missing_plan(self) -> str | None:
        """Return how a partition ended that published no plan, or None if the dry run's plan is whole."""
        for partition in sorted(self._ended_partitions() - self._started.keys()):
            event = self._last[partition]
            reason = event.data.get("reason")
            if event.kind == "sync.failed" or (event.kind == "sync.cancelled" and reason != "dry_run"):
                return ": ".join(str(part) for part in (end_events[event.kind], reason) if part)
        return None

    def paused(self) -> Iterator[tuple[int, JobEvent]]:
        """Return each paused partition with its last event."""
        return ((partition, event) for partition, event in sorted(self._last.items()) if event.paused)

    def totals(self) -> dict[str, Any]:
        """Return the data of the job as a whole, as an event would carry it."""
        return self._total(self._last.values())

    def plan(self) -> dict[str, Any]:
        """Return the job's planned totals; `takes_ms` is the longest time from a start to its estimated end."""
        events = [self._started.get(partition, last) for partition, last in self._last.items()]
        takes = [eta - event.at_ms for event in events if (eta := time_ms(event.data.get("eta"))) is not None]
        return {**self._total(events), "takes_ms": max(0, *takes) if takes else None}

    def leads_per_second(self) -> float | None:
        """Return the rate over the last 10 s, or None if it isn't known yet."""
        if not self._done:
            return None
        (first_ms, first), (last_ms, last) = self._done[0], self._done[-1]
        return max(0, last - first) * 1_000 / (last_ms - first_ms) if last_ms > first_ms else None

    def duration_ms(self) -> int | None:
        """Return the time from the job's start to its last event."""
        started = time_ms(self.totals()["started_at"])
        return None if started is None else max(0, max(event.at_ms for event in self._last.values()) - started)

    def silent_ms(self, now: int) -> int | None:
        """Return how long workers have been silent if that is a bad sign. A paused job has nothing to publish."""
        last_sign = self.last_sign_ms
        if self.phase == "paused":
            ends = [time_ms(event.data.get("paused_until")) for _, event in self.paused()]
            if None in ends:
                return None
            last_sign = max(last_sign, *(end for end in ends if end is not None))
        silent = now - last_sign
        return silent if silent >= silent_after_ms and not self.ended else None

    def _ended_partitions(self) -> set[int]:
        return {partition for partition, event in self._last.items() if event.ended}

    def _total(self, events: Collection[JobEvent]) -> dict[str, Any]:
        data = [event.data for event in events]
        running = [event.data for event in events if not event.ended]
        # the reason of a pause comes before that of an end, and the worst end's first
        ends = list(end_events)
        ranked = sorted(events, key=lambda event: ends.index(event.kind) if event.ended else -1)
        return {
            "request_id": self.request_id,
            "location_id": self.location_id,
            "partition": None,
            "partitions": self.partitions if self.location_id is None else None,
            "plan": data[0].get("plan") if len(data) == 1 else None,
            **{name: _sum(data, name) for name in job_figures},
            "filled": _sum_filled(data),
            "started_at": min(_times(data, "started_at"), default=None),
            "eta": max(_times(running or data, "eta"), default=None),
            "paused_until": max(_times(running, "paused_until"), default=None),
            "reason": next((why for event in ranked if (why := event.data.get("reason")) is not None), None),
        }


def read_count(data: Mapping[str, Any], name: str) -> int | None:
    """Return a count of an event's data, or None if it is missing or no count."""
    value = data.get(name)
    return value if type(value) is int and value >= 0 else None


def time_ms(value: object) -> int | None:
    """Return a time of the contract in ms since 1970, or None if it isn't one."""
    try:
        return read_time(value)
    except ValueError:
        return None


def _times(each: Collection[Mapping[str, Any]], name: str) -> list[str]:
    return [data[name] for data in each if time_ms(data.get(name)) is not None]


def _sum(each: Collection[Mapping[str, Any]], name: str) -> int | None:
    """Return the sum, or None if no event has the figure."""
    counts = [count for data in each if (count := read_count(data, name)) is not None]
    return sum(counts) if counts else None


def _sum_filled(each: Collection[Mapping[str, Any]]) -> dict[str, int] | None:
    maps = [filled for data in each if isinstance(filled := data.get("filled"), Mapping)]
    fields = dict.fromkeys(field for filled in maps for field in filled)
    return {field: _sum(maps, field) or 0 for field in fields} if maps else None
