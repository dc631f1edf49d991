"""A Sync's document: open until its one answer, then the memory that makes a repeat harmless."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from processor.ratelimit.headers import day_ms
from processor.shard.documents.document import Document, Fields, Tracker, read_fields, split_unknown, write_fields
from processor.shard.documents.format1 import upgrade_request
from processor.shard.indexes import Projection

remembered_ms: Final = day_ms  # DESIGN §3: a repeated request is not run again


@dataclass(slots=True)
class SyncRequest(Document):
    kind: ClassVar[str] = "request"

    location: str
    lead: str
    id: str
    cause: str = ""  # event id
    published_at: int = 0  # ms, Kafka timestamp
    deadline: int = 0  # ms
    changes_end: int = 0  # lead.changes must be read up to here before the lead counts as unknown
    answered: int | None = None  # ms
    expired: bool = False  # its memory is over
    unknown: Fields | None = None

    @property
    def key(self) -> str:
        return f"request {self.location} {self.lead} {self.id}"

    def projection(self) -> Projection:
        if self.answered is None:
            return Projection(at=self.deadline, open_request=True)
        return Projection(at=self.answered + remembered_ms)

    def encode(self) -> bytes | None:
        if self.expired:
            return None
        if self.answered is not None:
            return write_fields({"answered": self.answered}, self.unknown)
        return write_fields({name: getattr(self, name) for name in open_request_fields}, self.unknown)

    @classmethod
    def open_ones(cls, turn: Tracker, location: str, lead: str, limit: int) -> list[Self]:
        """Return the lead's requests that are not answered, at most `limit` of them."""
        found = (cls.find(turn, location, lead, request) for request in turn.open_requests(location, lead, limit))
        return [request for request in found if request is not None and request.answered is None]

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        location, lead, request = ids
        if stored is None:
            return cls(location, lead, request)
        fields = read_fields(stored, upgrade_request)
        unknown = split_unknown(fields, known_request_fields)
        return cls(location, lead, request, **fields, unknown=unknown)


open_request_fields: Final = ("cause", "published_at", "deadline", "changes_end")
known_request_fields: Final = dict.fromkeys((*open_request_fields, "answered"))
