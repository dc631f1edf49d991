"""Bytes ↔ event, or what is wrong with them. Whatever the bytes, nothing here raises, and no reason tells a value.

CloudEvents 1.0 as JSON: structured and binary mode are read, structured mode is written (DESIGN §2, §3).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError

from processor.events.contract import (
    EVENT_ID_MAX,
    EVENTS,
    INPUTS,
    SERVED,
    Served,
    SyncBackfillRequested,
    SyncLeadRequested,
    SyncLocationRequested,
)
from processor.events.fields import ID_PATTERN, rfc3339

VALUE_MAX: Final = 1024 * 1024  # bytes
ROUTING_MAX: Final = 64 * 1024  # bytes of key and headers: with them a buried value still fits a message of 2 MiB
FLAWS_MAX: Final = 3  # named in a detail

SCHEMAS: Final[Mapping[str, str]] = {kind: f"urn:hydrant:schema:{kind}" for kind in EVENTS}
REQUESTS: Final[Mapping[str, tuple[str, ...]]] = {
    "sync.lead.requested": ("request_id", "location_id", "lead_id"),
    "sync.location.requested": ("request_id", "location_id"),
    "sync.backfill.requested": ("request_id",),
}  # the ids it takes to answer it; a cancel is no question
FLAWS: Final[Mapping[str, str]] = {
    "missing": "missing",
    "string_type": "not a string",
    "string_too_long": "longer than {max_length:,} characters",
    "string_too_short": "empty",
    "string_pattern_mismatch": "not an id",
    "int_type": "not an integer",
    "greater_than_equal": "below {ge:,}",
    "less_than_equal": "above {le:,}",
    "bool_type": "not a boolean",
    "literal_error": "not {expected}",
    "model_type": "not an object",
    "dict_type": "not an object",
    "list_type": "not an array",
    "value_error": "{error}",
}  # by pydantic's error type; ours are the value errors

is_id: Final = re.compile(ID_PATTERN.removesuffix("$")).fullmatch  # Python's $ would let a newline pass


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it came from the log. What is personal in it shows in no repr, so in no log and no traceback."""

    topic: str  # without prefix
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """An input that this version acts on."""

    id: str
    type: str
    data: Served = field(repr=False)
    record: Record
    changes_end: int | None = None  # of a request: next offset of lead.changes as of its arrival


@dataclass(frozen=True, slots=True)
class RequestIds:
    """What it takes to answer a request. No lead: a job; no location either: a backfill."""

    request_id: str
    location_id: str | None
    lead_id: str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """What no retry cures. `reason` is a code of DESIGN §2, `detail` says which field and why, never its value."""

    reason: str
    detail: str
    record: Record
    request: RequestIds | None  # answered though it is buried


class NotJson(ValueError):
    """Bury it; the text says why, and no value."""


def decode(record: Record) -> Event | Malformed | None:
    """The event of a record of an input topic; None for a null value, which is skipped."""
    value = record.value
    if value is None:
        return None
    if len(value) > VALUE_MAX:
        return Malformed("too_large", f"value: more than {VALUE_MAX:,} bytes", record, None)
    if routing_bytes(record) > ROUTING_MAX:
        return Malformed("too_large", f"key and headers: more than {ROUTING_MAX:,} bytes", record, None)
    try:
        document = parse(value)
    except NotJson as error:
        return Malformed("not_json", f"value: {error}", record, None)
    attributes: Mapping[str, Any] | None = binary(record.headers) if record.headers else None
    data = document
    if attributes is None:
        if not isinstance(document, dict):
            return Malformed("not_cloudevent", "value: not an object", record, None)
        attributes, data = document, document.get("data")
    if flaw := envelope_flaw(attributes, data):
        return Malformed(*flaw, record, ids_of(attributes.get("type"), data, attributes.get("id")))
    kind, event_id = attributes["type"], attributes["id"]
    try:
        return Event(event_id, kind, SERVED[kind].__pydantic_validator__.validate_python(data), record)
    except ValidationError as error:
        detail = f"{kind}: {data_flaws(error)}"
    return Malformed("invalid_field", detail, record, ids_of(kind, data, event_id))


def encode(
    type: str, data: Mapping[str, object], *, id: str, source: str, subject: str, location: str, time_ms: int
) -> bytes:
    """The value of a record: an event of ours, in structured mode. KeyError on a type that isn't in the contract."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": type,
            "time": rfc3339(time_ms),
            "subject": subject,
            "partitionkey": location,
            "datacontenttype": "application/json",
            "dataschema": SCHEMAS[type],
            "data": data,
        }
    )


def dead_letter(
    malformed: Malformed, full_topic: str, time_ms: int
) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]:
    """Key, value and headers of its dead letter.

    The record as it came, so that it can be replayed; of its headers those of ours give way to the reason. Of what is
    too large only size and digest are kept.
    """
    record = malformed.record
    key, value = record.key, record.value
    kept = [(name, said) for name, said in record.headers if not name.startswith("hydrant-")]
    if malformed.reason == "too_large":
        value = orjson.dumps({"size": len(value or b""), "sha256": hashlib.sha256(value or b"").hexdigest()})
        if routing_bytes(record) > ROUTING_MAX:
            key, kept = None, []
    why = {
        "reason": malformed.reason,
        "detail": malformed.detail,
        "topic": full_topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": rfc3339(time_ms),
    }
    return key, value, (*kept, *((f"hydrant-{name}", str(said).encode()) for name, said in why.items()))


def request_ids(event: Event) -> RequestIds | None:
    """Whom to answer should the event have to be buried; None when it asks nothing."""
    data = event.data
    match data:
        case SyncLeadRequested():
            return RequestIds(data.request_id, data.location_id, data.lead_id, event.id)
        case SyncLocationRequested():
            return RequestIds(data.request_id, data.location_id, None, event.id)
        case SyncBackfillRequested():
            return RequestIds(data.request_id, None, None, event.id)
    return None


def parse(value: bytes) -> Any:  # JSON is untyped
    """Strict JSON: no NaN, no name given twice in an object, no deeper than 250 or so. Raises NotJson."""
    try:
        document = orjson.loads(value)
    except ValueError:
        raise NotJson("not JSON in UTF-8") from None
    try:
        colons = orjson.dumps(document).count(b":")  # one a member, and those within strings
    except TypeError:
        raise NotJson("nested too deeply") from None
    if colons != value.count(b":") or b"\\u003" in value:  # a member was lost, or a colon is escaped
        try:
            json.loads(value, object_pairs_hook=unique, parse_int=len)  # no digits are too many to count
        except NotJson:
            raise NotJson("a name is given twice in an object") from None
    return document


def unique(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise NotJson


def binary(headers: Sequence[tuple[str, bytes]]) -> Mapping[str, Any] | None:
    """The attributes of an event in binary mode; None for structured mode, which may repeat them in headers."""
    said = dict(headers)
    if "ce_specversion" not in said:
        return None
    if (said.get("content-type") or b"").lower().startswith(b"application/cloudevents"):
        return None
    return {name[3:]: text(value) for name, value in said.items() if name.startswith("ce_")}


def text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def envelope_flaw(attributes: Mapping[str, Any], data: object) -> tuple[str, str] | None:
    """Why this is no event that this version acts on, whatever its data: reason and detail."""
    if attributes.get("specversion") != "1.0":
        return "not_cloudevent", "specversion: not 1.0"
    for name in ("id", "source", "type"):
        if not isinstance(said := attributes.get(name), str) or not said:
            return "not_cloudevent", f"{name}: missing, empty or not a string"
    kind = attributes["type"]
    if kind not in SERVED:
        if kind not in EVENTS:
            return "unknown_type", "type: not one of the contract"  # it may say anything, so it isn't told
        return "unknown_type", f"{kind}: {'not served by this version' if kind in INPUTS else 'not an input'}"
    if len(attributes["id"]) > EVENT_ID_MAX:
        return "invalid_field", f"{kind}: id: longer than {EVENT_ID_MAX} characters"
    if not isinstance(data, dict):
        return "invalid_field", f"{kind}: data: {'missing' if data is None else 'not an object'}"
    return None


def data_flaws(error: ValidationError) -> str:
    """Which fields are wrong and why. Names are the models' own, reasons ours: nothing of the input."""
    said = []
    for flaw in error.errors(include_url=False, include_input=False)[:FLAWS_MAX]:
        why = FLAWS.get(flaw["type"], flaw["type"]).format_map(flaw.get("ctx", {}))
        said.append(": ".join([".".join(map(str, flaw["loc"])), why] if flaw["loc"] else [why]))
    return "; ".join(said)


def ids_of(kind: object, data: object, event_id: object) -> RequestIds | None:
    """Whom to answer, as far as it can be read."""
    wanted = REQUESTS.get(kind) if isinstance(kind, str) else None
    if wanted is None or not isinstance(data, dict):
        return None
    ids = {name: said for name in wanted if isinstance(said := data.get(name), str) and is_id(said)}
    if len(ids) < len(wanted):
        return None
    known = event_id if isinstance(event_id, str) and 0 < len(event_id) <= EVENT_ID_MAX else None
    return RequestIds(ids["request_id"], ids.get("location_id"), ids.get("lead_id"), known)


def routing_bytes(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers) if record.headers else 0
    return len(record.key or b"") + headers
