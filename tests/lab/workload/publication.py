"""A record that upstream publishes, and the jobs that upstream asks for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import orjson


@dataclass(frozen=True, slots=True)
class Publication:
    at: int
    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None  # CreateTime, ms after the start; None: `at`
    transaction: str | None = None  # committed | aborted: upstream uses a transaction, whose end takes an offset too
    event: str | None = None  # its id, if it is a valid event
    dead_letter: str | None = None  # the reason with which it must be dead-lettered
    misrouted: bool = False  # its location lives in another partition
    partition: int | None = None  # where upstream publishes it; None: at the home of its key
    late_ms: int = 0  # upstream published it so much later
    redelivery: bool = False  # upstream publishes it a second time


@dataclass(frozen=True)
class JobRequest:
    """A Sync All or a backfill that upstream asks for."""

    at: int
    request: str
    location: str | None = None  # None: a backfill
    dry_run: bool = False
    repeats: tuple[int, ...] = ()  # when the same request is published again
    cancels: tuple[int, ...] = ()
    partition: int | None = None  # where upstream publishes a request without location; None: at the home of its key
    messages: bool | None = None  # None: the request doesn't say

    @property
    def kind(self) -> str:
        return "sync.location.requested" if self.location else "sync.backfill.requested"

    @cached_property
    def publications(self) -> list[Publication]:
        more: dict[str, object] = {"dry_run": self.dry_run}
        if self.messages is not None:
            more["include_messages"] = self.messages
        requests = [self._publication(at, self.kind, more) for at in (self.at, *self.repeats)]
        return [*requests, *(self._publication(at, "sync.cancel.requested", {}) for at in self.cancels)]

    def covers(self, location: str) -> bool:
        return self.location in (None, location)

    def _publication(self, at: int, kind: str, more: Mapping[str, object]) -> Publication:
        data: dict[str, object] = {"request_id": self.request, **more}
        if self.location:
            data["location_id"] = self.location
        event = f"{self.request}-{kind.split('.')[1]}-{at}"
        made = request_publication(at, kind, data, event, self.location or self.request)
        return made if self.location else replace(made, partition=self.partition)


def envelope_of(event: str, kind: str) -> dict[str, str]:
    """Return the required attributes of a CloudEvent."""
    return {"specversion": "1.0", "id": event, "source": "upstream", "type": kind}


def request_publication(at: int, kind: str, data: Mapping[str, object], event: str, key: str) -> Publication:
    value = orjson.dumps({**envelope_of(event, kind), "data": data})
    return Publication(at, "sync.requests", key, value, event=event)


def idle_cancels(at: int, location: str, partition: int) -> Iterator[Publication]:
    """Cancel a job that was never requested, with and without a location: both must be ignored."""
    data: dict[str, object] = {"request_id": "job-of-nobody"}
    kind = "sync.cancel.requested"
    yield request_publication(at, kind, data | {"location_id": location}, f"idle-{at}-there", location)
    yield replace(request_publication(at, kind, data, f"idle-{at}", "job-of-nobody"), partition=partition)
