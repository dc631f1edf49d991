"""Bytes ↔ event. No bytes make `decode` raise, and no reason shows a value."""

import hashlib
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import example, given, strategies

from processor.events.cloudevents import (
    ROUTING_MAX,
    VALUE_MAX,
    Event,
    Malformed,
    Record,
    RequestIds,
    dead_letter,
    decode,
    encode,
    request_ids,
)
from processor.events.contract import LeadChanged

Json = dict[str, Any]

lead: Json = {"location_id": "location-1", "lead_id": "lead-1", "revision": 7, "email": "jane.doe@example.com"}
sync: Json = {"request_id": "request-1", "location_id": "location-1", "lead_id": "lead-1"}
time_ms = 1_769_848_200_000


def event(kind: str = "lead.changed", data: object = lead, **attributes: object) -> Json:
    envelope = {"specversion": "1.0", "id": "event-1", "source": "crm", "type": kind, "data": data} | attributes
    return {name: value for name, value in envelope.items() if value is not ...}


def record(value: bytes | Json | None, *headers: tuple[str, bytes], topic: str = "lead.changes") -> Record:
    content = orjson.dumps(value) if isinstance(value, dict) else value
    return Record(topic, 3, 17, time_ms, b"location-1", content, headers)


def binary_headers(kind: bytes = b"lead.changed") -> tuple[tuple[str, bytes], ...]:
    return (("ce_specversion", b"1.0"), ("ce_id", b"event-1"), ("ce_source", b"crm"), ("ce_type", kind))


def malformed(came: Record) -> Malformed:
    found = decode(came)
    assert isinstance(found, Malformed)
    return found


def reason(came: Record) -> tuple[str, str]:
    found = malformed(came)
    return found.reason, found.detail


def test_an_event_in_structured_mode() -> None:
    came = record(event())

    assert decode(came) == Event("event-1", "lead.changed", LeadChanged.model_validate(lead), came)


def test_an_event_in_binary_mode() -> None:
    came = record(lead, *binary_headers(), ("content-type", b"application/json"))

    assert decode(came) == Event("event-1", "lead.changed", LeadChanged.model_validate(lead), came)


def test_structured_mode_may_repeat_its_attributes_in_headers() -> None:
    """The Kafka binding of CloudEvents allows that (§3.3.3)."""
    came = record(event(), *binary_headers(), ("content-type", b"Application/CloudEvents+JSON; charset=UTF-8"))

    assert isinstance(decode(came), Event)


def test_headers_of_other_tools_are_ignored() -> None:
    """Debezium adds the outbox row's id, tracers add theirs."""
    assert isinstance(decode(record(event(), ("id", b"row-1"), ("traceparent", b"00-1-1-01"))), Event)


def test_null_values_are_skipped() -> None:
    assert decode(record(None)) is None
    assert decode(record(None, *binary_headers())) is None


def test_a_known_type_on_another_input_topic_is_read() -> None:
    assert isinstance(decode(record(event(), topic="sync.requests")), Event)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"specversion":"1.0","data":NaN}',
        b'{"specversion":"1.0","data":1e999}',
        b'{"data":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"[" * 2000 + b"]" * 2000,
        b"{}{}",
    ],
)
def test_a_value_that_is_not_json_is_malformed(value: bytes) -> None:
    assert reason(record(value)) == ("not_json", "value: not JSON in UTF-8")


def test_json_that_is_nested_too_deeply_is_malformed() -> None:
    """Any reader can write again what it has decoded."""
    deep = b'{"specversion":"1.0","id":"event-1","source":"crm","type":"lead.changed","data":%s}'

    assert reason(record(deep % (b"[" * 500 + b"]" * 500))) == ("not_json", "value: nested too deeply")


@pytest.mark.parametrize(
    "twice",
    [
        b'"revision":8,"revision":7',
        b'"revision" : 8, "revision" : 7',
        b'"revision":8,"\\u0072evision":7',
        b'"city":"a:b","city":"\\u003a\\u003A","revision":7',
        b'"nested":[{"a":{"b":1,"b":2}}],"revision":7',
        b'"city":{"x":1,"y":2},"city":"","revision":7',
    ],
)
def test_a_name_given_twice_is_malformed(twice: bytes) -> None:
    """Its readers would not agree on its value."""
    value = orjson.dumps(event(data={})).replace(b'"data":{}', b'"data":{"location_id":"a","lead_id":"b",%s}' % twice)

    assert reason(record(value)) == ("not_json", "value: a name is given twice in an object")


@pytest.mark.parametrize("city", [":", '":', '"a":1', "\\u003a", "\\", "https://example.com/?a=1:2"])
def test_colons_in_texts_are_no_names(city: str) -> None:
    value = orjson.dumps(event(data=lead | {"city": city}))

    assert isinstance(decode(record(value)), Event)
    assert isinstance(decode(record(value.replace(b"https:", b"https\\u003a"))), Event)


def test_many_digits_are_a_number() -> None:
    value = b'{"n":%s,"e":"\\u003a",' % (b"9" * 300) + orjson.dumps(event())[1:]

    assert isinstance(decode(record(value)), Event)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (event(specversion=...), ("not_cloudevent", "specversion: not 1.0")),
        (event(specversion="0.3"), ("not_cloudevent", "specversion: not 1.0")),
        (event(id=...), ("not_cloudevent", "id: missing, empty or not a string")),
        (event(id=7), ("not_cloudevent", "id: missing, empty or not a string")),
        (event(source=""), ("not_cloudevent", "source: missing, empty or not a string")),
        (event(type=["lead.changed"]), ("not_cloudevent", "type: missing, empty or not a string")),
        (event("jane.doe@example.com"), ("unknown_type", "type: not one of the contract")),
        (event("lead.synced"), ("unknown_type", "lead.synced: not an input")),
        (event("location.status"), ("unknown_type", "location.status: not an input")),
        (event("contact.changed"), ("unknown_type", "contact.changed: not served by this version")),
        (event(id="e" * 257), ("invalid_field", "lead.changed: id: longer than 256 characters")),
        (event(data=...), ("invalid_field", "lead.changed: data: missing")),
        (event(data=None), ("invalid_field", "lead.changed: data: missing")),
        (event(data="{}"), ("invalid_field", "lead.changed: data: not an object")),
        (event(data=lead | {"revision": True}), ("invalid_field", "lead.changed: revision: not an integer")),
        (event(data=lead | {"revision": -1}), ("invalid_field", "lead.changed: revision: below 0")),
        (
            event(data=lead | {"revision": 2**53}),
            ("invalid_field", "lead.changed: revision: above 9,007,199,254,740,991"),
        ),
        (event(data=lead | {"lead_id": "jane doe"}), ("invalid_field", "lead.changed: lead_id: not an id")),
        (event(data=lead | {"lead_id": "lead-1\n"}), ("invalid_field", "lead.changed: lead_id: not an id")),
        (
            event(data=lead | {"email": "e" * 1025}),
            ("invalid_field", "lead.changed: email: longer than 1,024 characters"),
        ),
        (
            event(data=lead | {"created_at": "yesterday"}),
            ("invalid_field", "lead.changed: created_at: not an RFC 3339 time in UTC"),
        ),
        (
            event("sync.lead.requested", sync | {"lane": "job"}),
            ("invalid_field", "sync.lead.requested: lane: not 'interactive' or 'change'"),
        ),
        (
            event("sync.lead.requested", sync | {"lead": lead | {"email": 7}}),
            ("invalid_field", "sync.lead.requested: lead.email: not a string"),
        ),
        (
            event("sync.lead.requested", sync | {"lead": lead | {"lead_id": "lead-2"}}),
            ("invalid_field", "sync.lead.requested: lead: another lead than the request's"),
        ),
        (
            event(data={"email": 7, "phone": 7, "city": 7, "state": 7}),
            ("invalid_field", "lead.changed: location_id: missing; lead_id: missing; revision: missing"),
        ),
    ],
)
def test_a_reason_names_the_field_and_the_flaw(value: Json, why: tuple[str, str]) -> None:
    assert reason(record(value)) == why


@pytest.mark.parametrize("value", [b"null", b"[]", b'"lead.changed"', b"7"])
def test_json_that_is_no_object_is_no_cloudevent(value: bytes) -> None:
    assert reason(record(value)) == ("not_cloudevent", "value: not an object")


def test_headers_that_are_not_utf8_are_no_cloudevent() -> None:
    came = record(lead, ("ce_specversion", b"1.0"), ("ce_id", b"\xff"), ("ce_source", b"crm"), ("ce_type", b"x"))

    assert reason(came) == ("not_cloudevent", "id: missing, empty or not a string")


def test_a_dead_lettered_request_is_answered() -> None:
    for flaw in (
        event("sync.lead.requested", sync | {"deadline_s": 0}),
        event("sync.lead.requested", sync, source=...),
    ):
        assert malformed(record(flaw)).request == RequestIds("request-1", "location-1", "lead-1", "event-1")

    without_id = event("sync.lead.requested", sync, id=...)
    assert malformed(record(without_id)).request == RequestIds("request-1", "location-1", "lead-1", None)


def test_a_dead_lettered_job_is_answered() -> None:
    job = event("sync.location.requested", {"request_id": "request-2", "location_id": "location-1", "dry_run": 1})
    backfill = event("sync.backfill.requested", {"request_id": "request-3", "include_messages": "no"})

    assert malformed(record(job)).request == RequestIds("request-2", "location-1", None, "event-1")
    assert malformed(record(backfill)).request == RequestIds("request-3", None, None, "event-1")


@pytest.mark.parametrize(
    "value",
    [
        event("sync.lead.requested", sync | {"request_id": "request 1"}),
        event("sync.lead.requested", {"request_id": "request-1", "location_id": "location-1"}),
        event("sync.lead.requested", sync | {"lead_id": 7}),
        event("sync.lead.requested", sync | {"request_id": "request-1\n"}),
        event("sync.location.requested", {"request_id": "request-2"}),
        event("sync.cancel.requested", {"request_id": "request-2", "location_id": "location 1"}),
        event("lead.changed", sync),
        event("contact.changed", sync),
    ],
)
def test_an_event_that_is_no_readable_request_gets_no_answer(value: Json) -> None:
    """A cancel names the request of its job: an answer to it would be about the job."""
    assert malformed(record(value)).request is None


def test_nothing_personal_shows_in_a_repr() -> None:
    found = decode(record(event()))
    malformed_event = decode(record(event(data=lead | {"revision": "7"})))

    assert "jane.doe" not in f"{found!r} {malformed_event!r}"


def test_an_event_has_the_ids_to_answer_it_if_it_is_dead_lettered_later() -> None:
    requested, changed = decode(record(event("sync.lead.requested", sync))), decode(record(event()))
    assert isinstance(requested, Event)
    assert isinstance(changed, Event)

    assert request_ids(requested) == RequestIds("request-1", "location-1", "lead-1", "event-1")
    assert request_ids(changed) is None


secret = "s3cret"
texts = strategies.sampled_from([secret, f"{secret}@example.com", f"{secret} {secret}", secret * 300])
values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-9, 9)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fields = [*LeadChanged.model_fields, *sync, "lead", "deadline_s", "lane", "include_messages", secret]
datas = strategies.dictionaries(strategies.sampled_from(fields), values, max_size=8)
kinds = strategies.sampled_from(
    ["lead.changed", "lead.deleted", "sync.lead.requested", "sync.location.requested", secret]
)
attributes = strategies.fixed_dictionaries(
    {},
    optional={
        "specversion": strategies.sampled_from(["1.0", secret]) | values,
        "id": values,
        "source": values,
        "type": kinds | values,
        "data": datas | values,
        secret: values,
    },
)


@given(strategies.binary() | strategies.text().map(str.encode))
@example(b"\x00")
def test_no_bytes_make_it_raise(value: bytes) -> None:
    assert isinstance(decode(record(value)), Malformed)
    assert isinstance(decode(record(value, *binary_headers())), Malformed)


@given(
    strategies.binary(max_size=8),
    strategies.lists(
        strategies.tuples(strategies.sampled_from(["ce_id", "ce_type", "content-type", secret]), strategies.binary())
    ),
)
def test_no_headers_make_it_raise(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    assert isinstance(decode(record(value, ("ce_specversion", b"1.0"), *headers)), Malformed)


@given(attributes)
def test_no_reason_shows_a_value(value: Json) -> None:
    found = decode(record(value))
    if isinstance(found, Malformed):
        assert secret not in found.detail
        assert len(found.detail) < 300


@given(attributes.map(lambda drawn: {"specversion": "1.0", "id": "event-1", "source": "crm"} | drawn))
def test_every_malformed_event_can_be_dead_lettered(envelope: Json) -> None:
    found = decode(record(envelope))
    if isinstance(found, Malformed):
        _, value, headers = dead_letter(found, "lead.changes", time_ms)
        assert value == orjson.dumps(envelope)
        assert secret.encode() not in b" ".join(content for _, content in headers)


def test_an_event_is_written_in_structured_mode() -> None:
    value = encode(
        "sync.failed",
        {"request_id": "request-2", "location_id": "location-1", "reason": "invalid"},
        id="request-2:failed",
        source="hydrant/location-1",
        subject="request-2",
        location="location-1",
        time_ms=time_ms,
    )

    assert value == (
        b'{"specversion":"1.0","id":"request-2:failed","source":"hydrant/location-1","type":"sync.failed",'
        b'"time":"2026-01-31T08:30:00.000Z","subject":"request-2","partitionkey":"location-1",'
        b'"datacontenttype":"application/json","dataschema":"urn:hydrant:schema:sync.failed",'
        b'"data":{"request_id":"request-2","location_id":"location-1","reason":"invalid"}}'
    )


def test_only_events_of_the_contract_are_written() -> None:
    with pytest.raises(KeyError):
        encode("lead.merged", {}, id="1", source="crm", subject="1", location="1", time_ms=time_ms)


def test_a_written_event_can_be_read() -> None:
    value = encode("lead.changed", lead, id="1", source="crm", subject="lead-1", location="location-1", time_ms=time_ms)

    assert isinstance(decode(record(value)), Event)


def test_a_dead_letter_is_the_record_and_the_reason() -> None:
    came = record(event(data=lead | {"revision": "7"}), ("traceparent", b"00-1-1-01"), ("hydrant-rehomed", b"1"))

    assert dead_letter(malformed(came), "staging.lead.changes", time_ms) == (
        came.key,
        came.value,
        (
            ("traceparent", b"00-1-1-01"),
            ("hydrant-reason", b"invalid_field"),
            ("hydrant-detail", b"lead.changed: revision: not an integer"),
            ("hydrant-topic", b"staging.lead.changes"),
            ("hydrant-partition", b"3"),
            ("hydrant-offset", b"17"),
            ("hydrant-time", b"2026-01-31T08:30:00.000Z"),
        ),
    )


def test_a_dead_letter_in_binary_mode_can_be_replayed() -> None:
    """Its attributes are in the headers, so they are kept."""
    came = record({"location_id": "location-1"}, *binary_headers())
    key, value, headers = dead_letter(malformed(came), "lead.changes", time_ms)

    assert reason(replace(came, key=key, value=value, headers=headers)) == reason(came)


def test_a_value_of_1_mib_is_read_and_of_a_larger_one_size_and_digest_are_kept() -> None:
    whole = orjson.dumps(event(filler="")).replace(b'"filler":""', b'"filler":"%s"')
    longest = whole % (b"x" * (VALUE_MAX - len(whole) + 2))
    larger = longest.replace(b"xx", b"xxx", 1)
    assert isinstance(decode(record(longest)), Event)

    found = malformed(record(larger))
    key, value, _ = dead_letter(found, "lead.changes", time_ms)

    assert (found.reason, found.detail, found.request) == ("too_large", "value: more than 1,048,576 bytes", None)
    assert key == b"location-1"
    assert orjson.loads(value or b"") == {"size": 1_048_577, "sha256": hashlib.sha256(larger).hexdigest()}


def test_a_dead_letter_always_fits_a_message() -> None:
    """Key and headers are bounded too: else value, key, headers and ours could be more than 2 MiB."""
    came = replace(record(event(), ("note", b"x" * ROUTING_MAX)), key=b"k" * 1_900_000)
    key, value, headers = dead_letter(malformed(came), "lead.changes", time_ms)

    assert reason(came) == ("too_large", "key and headers: more than 65,536 bytes")
    assert key is None
    assert len(value or b"") + sum(len(content) for _, content in headers) < 1_000
