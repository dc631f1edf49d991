"""Who asks for which jobs, when, and who changes their mind; by the teller's own knowledge."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import orjson

from .tale import Publication


@dataclass(frozen=True)
class Order:
    """A job that someone asks for. All times in ms after the world's start."""

    at: int
    request: str
    location: str | None = None  # None: a backfill
    dry: bool = False
    again: tuple[int, ...] = ()  # pressed once more
    cancels: tuple[int, ...] = ()
    partition: int | None = None  # where upstream publishes what has no location; None: where its key leads

    @property
    def kind(self) -> str:
        return "sync.location.requested" if self.location else "sync.backfill.requested"

    @cached_property
    def publications(self) -> list[Publication]:
        asked = [self._said(at, self.kind, {"dry_run": self.dry}) for at in (self.at, *self.again)]
        return [*asked, *(self._said(at, "sync.cancel.requested") for at in self.cancels)]

    def covers(self, location: str) -> bool:
        return self.location in (None, location)

    def _said(self, at: int, kind: str, more: dict[str, object] | None = None) -> Publication:
        data: dict[str, object] = {"request_id": self.request} | (more or {})
        if self.location:
            data["location_id"] = self.location
        one = told(at, kind, data, f"{self.request}-{kind.split('.')[1]}-{at}", self.location or self.request)
        return one if self.location else replace(one, partition=self.partition)


def told(at: int, kind: str, data: dict[str, object], event: str, key: str) -> Publication:
    envelope = {"specversion": "1.0", "id": event, "source": "upstream", "type": kind, "data": data}
    return Publication(at, "sync.requests", key, orjson.dumps(envelope), event=event)


def idle_cancels(at: int, location: str, partition: int) -> Iterator[Publication]:
    """Of jobs that nobody asked for, with and without a location: ignored."""
    data: dict[str, object] = {"request_id": "job-of-nobody"}
    yield told(at, "sync.cancel.requested", data | {"location_id": location}, f"idle-{at}-there", location)
    yield replace(told(at, "sync.cancel.requested", data, f"idle-{at}", "job-of-nobody"), partition=partition)
