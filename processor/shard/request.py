"""A Sync's document: open until its one answer, then the memory that makes a repeat harmless."""

from dataclasses import dataclass
from typing import Final, Self

import orjson

from processor.shard.state import Changes
from processor.shard.tables import Projection

remembered_ms: Final = 24 * 3_600_000  # DESIGN §3: a repeated request is not run again


@dataclass(slots=True)
class Request:
    location: str
    lead: str
    id: str
    cause: str = ""  # event id
    since: int = 0  # ms, Kafka timestamp
    deadline: int = 0  # ms
    changes_end: int = 0  # lead.changes must be read up to here before the lead counts as unknown
    answered: int | None = None  # ms
    forgotten: bool = False

    @property
    def key(self) -> str:
        return f"request {self.location} {self.lead} {self.id}"

    def projection(self) -> Projection:
        if self.answered is None:
            return Projection(at=self.deadline, waits=True)
        return Projection(at=self.answered + remembered_ms)

    def encode(self) -> bytes | None:
        if self.forgotten:
            return None
        if self.answered is not None:
            return orjson.dumps({"answered": self.answered})
        return orjson.dumps(
            {"cause": self.cause, "since": self.since, "deadline": self.deadline, "changes_end": self.changes_end}
        )

    @classmethod
    def decode(cls, location: str, lead: str, request: str, stored: bytes) -> Self:
        return cls(location, lead, request, **orjson.loads(stored))

    @classmethod
    def of(cls, changes: Changes, location: str, lead: str, request: str) -> Self | None:
        key = f"request {location} {lead} {request}"
        return changes.find(key, lambda stored: cls.decode(location, lead, request, stored))

    @classmethod
    def waiting(cls, changes: Changes, location: str, lead: str, limit: int) -> list[Self]:
        """The lead's open requests, at most `limit` of them."""
        found = (cls.of(changes, location, lead, request) for request in changes.waiting(location, lead, limit))
        return [request for request in found if request is not None and request.answered is None]
