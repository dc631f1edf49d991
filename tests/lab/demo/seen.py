"""What came out of Hydrant: its output topics, as a downstream reads them (`read_committed`)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

import orjson

topics: Final = ("lead.updates", "lead.messages", "sync.progress", "dead.letters", "location.status")


class Record(Protocol):
    """A record of an output topic."""

    @property
    def topic(self) -> str: ...  # without prefix
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """A `lead.synced`."""

    location: str
    lead: str
    revision: int | None
    sequence: int
    outcome: str
    lead_updated: bool
    contact_id: str | None
    changes: Mapping[str, str | None]
    replaces: str | None
    reason: str | None
    resolved_by: str | None
    messages: str
    messages_imported: int
    message_calls: int
    causes: tuple[str, ...]  # ids of events that aren't requests
    requests: tuple[str, ...]  # request ids


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A `sync.answered`."""

    location: str
    lead: str
    request_id: str
    sequence: int
    outcome: str
    lead_updated: bool
    filled: frozenset[str]
    messages_imported: int
    reason: str | None
    seen_at: float  # s


@dataclass(frozen=True, slots=True, repr=False)
class Imported:
    """A `lead.message.imported`."""

    location: str
    lead: str
    id: str  # of the message
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter, recognised by the digest of what was buried."""

    reason: str
    digest: str


@dataclass(frozen=True, slots=True)
class Told:
    """How a job stands: an event of `sync.progress` about it."""

    kind: str  # started, progressed, paused, completed, failed, cancelled
    data: Mapping[str, Any]
    at_ms: int  # when it was told, by its worker
    seen_at: float  # s

    @property
    def is_end(self) -> bool:
        return self.kind in ("completed", "failed", "cancelled")


@dataclass(slots=True)
class Seen:
    """Everything so far, in the order of each partition."""

    results: list[Result] = field(default_factory=list)
    messages: list[Imported] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    buried: list[Buried] = field(default_factory=list)
    statuses: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # location → its last location.status
    outcomes: Counter[str] = field(default_factory=Counter)  # results
    met: set[str] = field(default_factory=set)  # what `due` of a world names, as far as it has come

    def hear(self, record: Record, now: float) -> None:
        """`now`: s, by any monotonic clock."""
        if record.value is None:
            return
        if record.topic == "dead.letters":
            self.buried.append(read_dead_letter(record))
            self.met.add(f"buried {self.buried[-1].digest}")
            return
        event = orjson.loads(record.value)
        match event["type"]:
            case "lead.synced":
                result = read_result(event["data"])
                self.results.append(result)
                self.outcomes[result.outcome] += 1
                self.met.update(f"event {cause}" for cause in result.causes)
                self.met.update(f"request {request}" for request in result.requests)
                self.met.update(f"request {request} of {result.lead}" for request in result.requests)
                if not result.causes and not result.requests:
                    self.met.add(f"again {result.lead}")
            case "lead.message.imported":
                self.messages.append(read_imported(event["data"]))
                self.met.add(f"message {self.messages[-1].id} of {self.messages[-1].lead}")
            case "sync.answered":
                self.answers.append(read_answer(event["data"], now))
                self.met.add(f"answer {self.answers[-1].request_id}")
            case str(type) if type.startswith("sync."):
                self.told.append(read_told(event, now))
                if self.told[-1].is_end:
                    self.met.add(f"end of {event['data']['request_id']}")
            case "location.status":
                self.statuses[event["data"]["location_id"]] = event["data"]


def read_result(data: Mapping[str, Any]) -> Result:
    replaces = data["replaces"]
    return Result(
        location=data["location_id"],
        lead=data["lead_id"],
        revision=data["revision"],
        sequence=data["sequence"],
        outcome=data["outcome"],
        lead_updated=data["lead_updated"],
        contact_id=data["contact_id"],
        changes=data["changes"],
        replaces=replaces["contact_id"] if replaces else None,
        reason=data["reason"],
        resolved_by=data["resolved_by"],
        messages=data["messages"],
        messages_imported=data["messages_imported"],
        message_calls=data["calls"].get("messages", 0),
        causes=tuple(cause["id"] for cause in data["causes"] if not cause.get("request_id")),
        requests=tuple(cause["request_id"] for cause in data["causes"] if cause.get("request_id")),
    )


def read_answer(data: Mapping[str, Any], now: float) -> Answer:
    return Answer(
        location=data["location_id"],
        lead=data["lead_id"],
        request_id=data["request_id"],
        sequence=data["sequence"],
        outcome=data["outcome"],
        lead_updated=data["lead_updated"],
        filled=frozenset(data["filled"]),
        messages_imported=data["messages_imported"],
        reason=data["reason"],
        seen_at=now,
    )


def read_imported(data: Mapping[str, Any]) -> Imported:
    return Imported(data["location_id"], data["lead_id"], data["message"]["id"], data)


def read_told(event: Mapping[str, Any], now: float) -> Told:
    at = datetime.fromisoformat(event["time"])
    return Told(event["type"].removeprefix("sync."), event["data"], round(at.timestamp() * 1_000), now)


def read_dead_letter(record: Record) -> Buried:
    """Of what is too large only the digest was kept."""
    value = record.value or b""
    reason = dict(record.headers).get("hydrant-reason", b"").decode()
    return Buried(reason, orjson.loads(value)["sha256"] if reason == "too_large" else sha256(value).hexdigest())
