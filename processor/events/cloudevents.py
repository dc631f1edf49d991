"""Bytes ↔ event. Whatever the bytes, `decode` doesn't raise, and no reason shows a value.

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
    EVENTS,
    INPUTS,
    SERVED,
    Served,
    SyncBackfillRequested,
    SyncLeadRequested,
    SyncLocationRequested,
)
from processor.events.fields import EVENT_ID_MAX, ID_PATTERN, rfc3339

VALUE_MAX: Final = 1024 * 1024  # bytes
ROUTING_MAX: Final = 64 * 1024  # bytes of key and headers: with them a dead letter still fits a message of 2 MiB
FLAWS_MAX: Final = 3  # flaws that a detail names

SCHEMAS: Final[Mapping[str, str]] = {kind: f"urn:hydrant:schema:{kind}" for kind in EVENTS}
REQUESTS: Final[Mapping[str, tuple[str, ...]]] = {
    "sync.lead.requested": ("request_id", "location_id", "lead_id"),
    "sync.location.requested": ("request_id", "location_id"),
    "sync.backfill.requested": ("request_id",),
}  # the ids that an answer needs; a cancel gets no answer
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
}  # by pydantic's error type; the value errors are ours

is_id: Final = re.compile(ID_PATTERN.removesuffix("$")).fullmatch  # Python's $ would let a newline pass


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic. Nothing personal shows in its repr, and so in no log and no traceback."""

    topic: str  # without prefix
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """An event is a valid input that this version acts on."""

    id: str
    type: str
    data: Served = field(repr=False)
    record: Record
    changes_end: int | None = None  # of a request: the next offset of lead.changes when it arrived


@dataclass(frozen=True, slots=True)
class RequestIds:
    """An answer to a request needs these ids. A job has no lead, a backfill no location either."""

    request_id: str
    location_id: str | None
    lead_id: str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that no retry cures. `reason` is a code of DESIGN §2; `detail` names the field and why, never its value."""

    reason: str
    detail: str
    record: Record
    request: RequestIds | None  # answered although it is dead-lettered


class NotJson(ValueError):
    """The record must be dead-lettered. The text says why, without a value."""


def decode(record: Record) -> Event | Malformed | None:
    """Return the event of an input topic's record, or why it is malformed. None: a null value, which is skipped."""
    value = record.value
    if value is None:
        return None
    if len(value) > VALUE_MAX:
        return Malformed("too_large", f"value: more than {VALUE_MAX:,} bytes", record, None)
    if _routing_bytes(record) > ROUTING_MAX:
        return Malformed("too_large", f"key and headers: more than {ROUTING_MAX:,} bytes", record, None)
    try:
        document = _strict_json(value)
    except NotJson as error:
        return Malformed("not_json", f"value: {error}", record, None)
    attributes: Mapping[str, Any] | None = _binary_attributes(record.headers) if record.headers else None
    data = document
    if attributes is None:
        if not isinstance(document, dict):
            return Malformed("not_cloudevent", "value: not an object", record, None)
        attributes, data = document, document.get("data")
    if flaw := envelope_flaw(attributes, data):
        return Malformed(*flaw, record, _readable_ids(attributes.get("type"), data, attributes.get("id")))
    kind, event_id = attributes["type"], attributes["id"]
    try:
        return Event(event_id, kind, SERVED[kind].__pydantic_validator__.validate_python(data), record)
    except ValidationError as error:
        detail = f"{kind}: {_data_flaws(error)}"
    return Malformed("invalid_field", detail, record, _readable_ids(kind, data, event_id))


def encode(
    type: str, data: Mapping[str, object], *, id: str, source: str, subject: str, location: str, time_ms: int
) -> bytes:
    """Return an event of ours as a record's value, in structured mode. Raise KeyError for a type outside the contract."""
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
    """Return key, value and headers of a record's dead letter.

    It is the record as it came, so that it can be replayed; only its `hydrant-` headers are replaced by the reason. Of
    a value that is too large, only size and digest are kept.
    """
    record = malformed.record
    key, value = record.key, record.value
    kept = [(name, content) for name, content in record.headers if not name.startswith("hydrant-")]
    if malformed.reason == "too_large":
        value = orjson.dumps({"size": len(value or b""), "sha256": hashlib.sha256(value or b"").hexdigest()})
        if _routing_bytes(record) > ROUTING_MAX:
            key, kept = None, []
    added = {
        "reason": malformed.reason,
        "detail": malformed.detail,
        "topic": full_topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": rfc3339(time_ms),
    }
    return key, value, (*kept, *((f"hydrant-{name}", str(content).encode()) for name, content in added.items()))


def request_ids(event: Event) -> RequestIds | None:
    """Return the ids to answer an event that is dead-lettered after all; None if it is no request."""
    data = event.data
    match data:
        case SyncLeadRequested():
            return RequestIds(data.request_id, data.location_id, data.lead_id, event.id)
        case SyncLocationRequested():
            return RequestIds(data.request_id, data.location_id, None, event.id)
        case SyncBackfillRequested():
            return RequestIds(data.request_id, None, None, event.id)
    return None


def _strict_json(value: bytes) -> Any:  # JSON is untyped
    """Return a strict JSON document: without NaN, repeated names or more than about 250 levels. Raise NotJson."""
    try:
        document = orjson.loads(value)
    except ValueError:
        raise NotJson("not JSON in UTF-8") from None
    try:
        colons = orjson.dumps(document).count(b":")  # one for each member, and those in strings
    except TypeError:
        raise NotJson("nested too deeply") from None
    if colons != value.count(b":") or b"\\u003" in value:  # a member was lost, or a colon is escaped
        try:
            json.loads(value, object_pairs_hook=_refuse_repeated, parse_int=len)  # int() would refuse very many digits
        except NotJson:
            raise NotJson("a name is given twice in an object") from None
    return document


def _refuse_repeated(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise NotJson


def _binary_attributes(headers: Sequence[tuple[str, bytes]]) -> Mapping[str, Any] | None:
    """Return the attributes of an event in binary mode; None in structured mode, which may repeat them in headers."""
    by_name = dict(headers)
    if "ce_specversion" not in by_name:
        return None
    if (by_name.get("content-type") or b"").lower().startswith(b"application/cloudevents"):
        return None
    return {name[3:]: _text(value) for name, value in by_name.items() if name.startswith("ce_")}


def _text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def envelope_flaw(attributes: Mapping[str, Any], data: object) -> tuple[str, str] | None:
    """Return reason and detail if the envelope makes it no event that this version acts on, whatever its data."""
    if attributes.get("specversion") != "1.0":
        return "not_cloudevent", "specversion: not 1.0"
    for name in ("id", "source", "type"):
        if not isinstance(value := attributes.get(name), str) or not value:
            return "not_cloudevent", f"{name}: missing, empty or not a string"
    kind = attributes["type"]
    if kind not in SERVED:
        if kind not in EVENTS:
            return "unknown_type", "type: not one of the contract"  # it may hold anything, so it isn't shown
        return "unknown_type", f"{kind}: {'not served by this version' if kind in INPUTS else 'not an input'}"
    if len(attributes["id"]) > EVENT_ID_MAX:
        return "invalid_field", f"{kind}: id: longer than {EVENT_ID_MAX} characters"
    if not isinstance(data, dict):
        return "invalid_field", f"{kind}: data: {'missing' if data is None else 'not an object'}"
    return None


def _data_flaws(error: ValidationError) -> str:
    """Return the fields that are wrong and why. Names are the models', reasons ours: nothing comes from the input."""
    flaws = []
    for flaw in error.errors(include_url=False, include_input=False)[:FLAWS_MAX]:
        why = FLAWS.get(flaw["type"], flaw["type"]).format_map(flaw.get("ctx", {}))
        flaws.append(": ".join([".".join(map(str, flaw["loc"])), why] if flaw["loc"] else [why]))
    return "; ".join(flaws)


def _readable_ids(kind: object, data: object, event_id: object) -> RequestIds | None:
    """Return the ids to answer a malformed request; None if it is none or they can't be read."""
    names = REQUESTS.get(kind) if isinstance(kind, str) else None
    if names is None or not isinstance(data, dict):
        return None
    ids = {name: value for name in names if isinstance(value := data.get(name), str) and is_id(value)}
    if len(ids) < len(names):
        return None
    readable = event_id if isinstance(event_id, str) and 0 < len(event_id) <= EVENT_ID_MAX else None
    return RequestIds(ids["request_id"], ids.get("location_id"), ids.get("lead_id"), readable)


def _routing_bytes(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers) if record.headers else 0
    return len(record.key or b"") + headers
