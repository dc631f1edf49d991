"""How a job stands, from what its partitions have said of it: its phase, its sums, its pace. Times are given.

A Sync All lives in one partition. A backfill is over when each of its partitions has sent an end; its figures are sums.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.events.fields import read_time

ends: Final = {"sync.failed": "failed", "sync.cancelled": "cancelled", "sync.completed": "completed"}  # worst first
kinds: Final = frozenset(("sync.started", "sync.progressed", "sync.paused", *ends))
outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
figures: Final = (
    *("leads_total", "leads_done", *outcomes, "messages_imported"),
    *("calls_planned", "calls_spent", "calls_saved"),
)
pace_over_ms: Final = 10_000
silent_after_ms: Final = 30_000  # a worker that lives reports on its locations every 10 s

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One event of a job. Its data may lack anything, and hold what this version doesn't know."""

    kind: str
    data: Data
    partition: int
    at_ms: int

    @property
    def ended(self) -> bool:
        return self.kind in ends

    @property
    def paused(self) -> bool:
        return not self.ended and (self.kind == "sync.paused" or self.data.get("reason") is not None)


class Progress:
    """`location_id` None: a backfill. `live`: what was said before is read, and what comes now is news."""

    def __init__(self, request_id: str, location_id: str | None, partitions: int = 1, live: bool = True) -> None:
        self.request_id, self.location_id = request_id, location_id
        self.partitions, self.live = partitions, live
        self.queued: int | None = None  # leads that wait for a call, in all lanes
        self.heard_ms = 0  # the last sign of a worker's life, by our clock
        self._last: dict[int, Said] = {}
        self._plans: dict[int, Said] = {}
        self._pace: deque[tuple[int, int]] = deque()

    def hear(self, said: Said) -> None:
        partition = said.partition if self.location_id is None else 0
        self._last[partition] = said
        if said.kind == "sync.started":
            self._plans[partition] = said
        if self.location_id is None:
            self.partitions = count(said.data, "partitions") or self.partitions
        self._pace.append((said.at_ms, sum(count(one.data, "leads_done") or 0 for one in self._last.values())))
        while self._pace[0][0] < said.at_ms - pace_over_ms:
            self._pace.popleft()

    @property
    def heard(self) -> bool:
        return bool(self._last)

    @property
    def over(self) -> bool:
        """An end that names no partitions is one of all: so is a request answered that had to be buried."""
        ended = [said for said in self._last.values() if said.ended]
        return len(ended) >= self.partitions or any(not count(said.data, "partitions") for said in ended)

    @property
    def planned(self) -> bool:
        """Every partition has told its plan, or ended without."""
        return self.over or len(self._plans.keys() | self._ended()) >= self.partitions

    @property
    def phase(self) -> str:
        """opening | running | paused | completed | failed | cancelled"""
        if self.over:
            return next(name for kind, name in ends.items() if any(one.kind == kind for one in self._last.values()))
        going = [said for said in self._last.values() if not said.ended]
        if going and all(said.paused for said in going):
            return "paused"
        return (
            "running" if self._plans or any(said.kind != "sync.paused" for said in self._last.values()) else "opening"
        )

    @property
    def done_partitions(self) -> int:
        return len(self._ended())

    @property
    def heard_partitions(self) -> int:
        return len(self._last)

    def refusal(self) -> str | None:
        """Why a dry run's plan isn't whole: how a partition ended that told none. None: it is."""
        for at in sorted(self._ended() - self._plans.keys()):
            said = self._last[at]
            if said.kind == "sync.failed" or (said.kind == "sync.cancelled" and said.data.get("reason") != "dry_run"):
                return ": ".join(str(part) for part in (ends[said.kind], said.data.get("reason")) if part)
        return None

    def paused(self) -> Iterator[tuple[int, Said]]:
        """Partition and what it said last, of those that are paused."""
        return ((at, said) for at, said in sorted(self._last.items()) if said.paused)

    def stand(self) -> dict[str, Any]:
        """The data of the job as a whole, as in an event of its own."""
        return self._total(self._last.values())

    def plan(self) -> dict[str, Any]:
        """What it set out to do; `takes_ms` from then to its estimated end."""
        said = [self._plans.get(at, last) for at, last in self._last.items()]
        takes = [eta - one.at_ms for one in said if (eta := moment(one.data.get("eta"))) is not None]
        return {**self._total(said), "takes_ms": max(0, *takes) if takes else None}

    def per_second(self) -> float | None:
        """Leads done, of late."""
        (since, before), (until, now) = (
            self._pace[0] if self._pace else (0, 0),
            self._pace[-1] if self._pace else (0, 0),
        )
        return max(0, now - before) * 1_000 / (until - since) if until > since else None

    def took_ms(self) -> int | None:
        """From its start to the last that was said."""
        since = moment(self.stand()["started_at"])
        return None if since is None else max(0, max(said.at_ms for said in self._last.values()) - since)

    def silent_ms(self, now: int) -> int | None:
        """For how long no worker has shown life, where that is a bad sign: whoever is paused has nothing to say."""
        since = self.heard_ms
        if self.phase == "paused":
            until = [moment(said.data.get("paused_until")) for _, said in self.paused()]
            if None in until:
                return None
            since = max(since, *(one for one in until if one is not None))
        silent = now - since
        return silent if silent >= silent_after_ms and not self.over else None

    def _ended(self) -> set[int]:
        return {partition for partition, said in self._last.items() if said.ended}

    def _total(self, said: Collection[Said]) -> dict[str, Any]:
        each = [one.data for one in said]
        going = [one.data for one in said if not one.ended]
        telling = [one.data for one in sorted(said, key=lambda one: list(ends).index(one.kind) if one.ended else -1)]
        starts, etas, pauses = (
            [data[name] for data in among if moment(data.get(name)) is not None]
            for among, name in ((each, "started_at"), (going or each, "eta"), (going, "paused_until"))
        )
        return {
            "request_id": self.request_id,
            "location_id": self.location_id,
            "partition": None,
            "partitions": self.partitions if self.location_id is None else None,
            "plan": each[0].get("plan") if len(each) == 1 else None,
            **{name: added(each, name) for name in figures},
            "filled": filled(each),
            "started_at": min(starts, default=None),
            "eta": max(etas, default=None),
            "paused_until": max(pauses, default=None),
            "reason": next((reason for data in telling if (reason := data.get("reason")) is not None), None),
        }


def count(data: Data, name: str) -> int | None:
    said = data.get(name)
    return said if type(said) is int and said >= 0 else None


def moment(said: object) -> int | None:
    """A time of the contract in ms since 1970."""
    try:
        return read_time(said)
    except ValueError:
        return None


def added(each: Collection[Data], name: str) -> int | None:
    """The sum; None where nobody knows it."""
    known = [number for data in each if (number := count(data, name)) is not None]
    return sum(known) if known else None


def filled(each: Collection[Data]) -> dict[str, int] | None:
    maps = [said for data in each if isinstance(said := data.get("filled"), Mapping)]
    fields = dict.fromkeys(field for said in maps for field in said)
    return {field: added(maps, field) or 0 for field in fields} if maps else None
