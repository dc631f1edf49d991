"""What was told of jobs, and which results name them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from processor.topics import home

from .broker import Entry
from .demands import Order
from .play import Run
from .tale import Tale

Data = Mapping[str, Any]
over: Final = ("sync.completed", "sync.failed", "sync.cancelled")


@dataclass(frozen=True, slots=True)
class Said:
    """An event of a job's."""

    at: int  # ms since 1970, when its transaction was committed
    turn: int  # and when its turn was, by the worker's clock
    kind: str
    data: Data


@dataclass
class Stream:
    """What was told of one job: of a Sync All, or of a partition's part of a backfill."""

    order: Order
    partition: int
    said: list[Said] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.order.request} of {self.order.location or f'partition {self.partition}'}"

    @property
    def end(self) -> Said | None:
        return next((one for one in self.said if one.kind in over), None)

    @property
    def started(self) -> Said | None:
        return next((one for one in self.said if one.kind == "sync.started"), None)

    def covers(self, tale: Tale, run: Run) -> bool:
        here = home(tale.location, run.scenario.partitions) == self.partition
        return here and self.order.covers(tale.location)


@dataclass(frozen=True, slots=True)
class Result:
    at: int  # ms since 1970, when its transaction was committed
    data: Data


def streams(run: Run) -> dict[tuple[str, str | int], Stream]:
    """By request and location, or partition. What nobody asked for is left to `ends_once`."""
    found: dict[tuple[str, str | int], Stream] = {}
    for order in run.scenario.orders:
        if order.location:
            where = home(order.location, run.scenario.partitions)
            found[order.request, order.location] = Stream(order, where)
        else:
            found |= {(order.request, where): Stream(order, where) for where in run.scenario.owned}
    for where, one in progress(run):
        place = one.data["location_id"] or where
        if (stream := found.get((one.data["request_id"], place))) is not None and stream.partition == where:
            stream.said.append(one)
    return found


def progress(run: Run) -> Iterator[tuple[int, Said]]:
    for where in run.scenario.owned:
        for _, entry in run.kafka.committed("sync.progress", where):
            event = orjson.loads(entry.value or b"null")
            if "leads_total" in event["data"]:
                yield where, Said(decided(entry), instant(event["time"]) or 0, event["type"], event["data"])


def decided(entry: Entry) -> int:
    return entry.transaction.ended if entry.transaction else entry.timestamp_ms


def results(run: Run, stream: Stream) -> list[Result]:
    """Those that name the job, in the order of the log; of each lead one."""
    found = []
    for _, entry in run.kafka.committed("lead.updates", stream.partition):
        data = orjson.loads(entry.value or b"null")["data"]
        if any(cause.get("request_id") == stream.order.request for cause in data["causes"]):
            found.append(Result(decided(entry), data))
    return found


def instant(text: str | None) -> int | None:
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else None
