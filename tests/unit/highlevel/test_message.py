"""Messages of HighLevel as values: one shape for every payload, and only SMS."""

from typing import Any

import pytest
from hypothesis import given, strategies

from processor.highlevel.message import SmsMessage, from_export, message_body_limit

payload: dict[str, Any] = {
    "id": "m-1",
    "type": 2,
    "messageType": "TYPE_SMS",
    "locationId": "loc-1",
    "contactId": "c-1",
    "conversationId": "v-1",
    "dateAdded": "2024-03-27T18:13:49.250Z",
    "direction": "outbound",
    "contentType": "text/plain",
    "body": "Hi there",
    "status": "delivered",
    "attachments": ["https://example.com/a.png"],
    "source": "workflow",
    "userId": "u-1",
}


def read(**changes: Any) -> SmsMessage | None:
    return from_export({name: value for name, value in {**payload, **changes}.items() if value is not ...}, "loc-1")


def test_a_whole_message() -> None:
    assert read() == SmsMessage(
        "m-1",
        "c-1",
        1_711_563_229_250,
        "outbound",
        "TYPE_SMS",
        "Hi there",
        "delivered",
        "v-1",
        ("https://example.com/a.png",),
        "workflow",
        "u-1",
    )


@pytest.mark.parametrize("absent", ["body", "status", "direction", "attachments", "source", "userId", "conversationId"])
def test_an_absent_value_or_one_that_is_no_text_is_unknown(absent: str) -> None:
    names = {"userId": "user", "conversationId": "conversation"}
    values: list[Any] = [..., None, "", 7, {}]
    for value in values:
        found = read(**{absent: value})

        assert found is not None
        assert getattr(found, names.get(absent, absent)) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("SMS", "TYPE_SMS"),
        ("TYPE_CAMPAIGN_SMS", "TYPE_CAMPAIGN_SMS"),
        ("TYPE_SMS_REACTION", "TYPE_SMS_REACTION"),
        ("TYPE_RCS", "TYPE_RCS"),
        ("TYPE_UNKNOWN", "TYPE_UNKNOWN"),
        (..., None),
    ],
)
def test_all_of_the_sms_family_and_unknown_types_are_kept(value: Any, kind: str | None) -> None:
    found = read(messageType=value)

    assert found is not None
    assert found.type == kind


@pytest.mark.parametrize("value", ["TYPE_CALL", "TYPE_EMAIL", "Email", "TYPE_ACTIVITY_CONTACT", "TYPE_WHATSAPP"])
def test_other_families_are_dropped(value: str) -> None:
    assert read(messageType=value) is None


@pytest.mark.parametrize(
    "flaw",
    [
        {"id": ...},
        {"id": "m 1"},
        {"contactId": None},
        {"dateAdded": "yesterday"},
        {"dateAdded": ...},
        {"locationId": "loc-2"},
    ],
)
def test_a_message_without_id_contact_or_time_is_dropped(flaw: dict[str, Any]) -> None:
    assert read(**flaw) is None


def test_a_longer_body_is_cut_between_characters() -> None:
    found = read(body="ä" * message_body_limit)

    assert found is not None
    assert found.body == "ä" * (message_body_limit // 2)


def test_nothing_personal_shows_in_a_repr() -> None:
    assert repr(read()) == "SmsMessage(m-1)"


@pytest.mark.slow
@given(
    strategies.dictionaries(
        strategies.sampled_from([*payload, "other"]),
        strategies.recursive(strategies.none() | strategies.text() | strategies.floats(), strategies.lists),
    )
)
def test_reading_never_raises(changes: dict[str, Any]) -> None:
    from_export(payload | changes, "loc-1")
