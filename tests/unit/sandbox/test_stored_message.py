"""A message in export's shape: read, shown, and in its channel."""

from typing import Any

import pytest

from processor.sandbox.stored_message import (
    channel_of,
    default_conversation,
    is_exported,
    message_json,
    parse_stored_message,
)

now_ms = 1_800_000_000_000


def test_export_shows_what_it_was_given() -> None:
    given = {
        "id": "m1",
        "contactId": "jane",
        "conversationId": "other",
        "messageType": "SMS",
        "dateAdded": "2025-03-01T10:00:00.123Z",
        "dateUpdated": "2025-03-01T10:00:05.000Z",
        "direction": "outbound",
        "body": "Hi",
        "status": "failed",
        "source": "app",
        "userId": "u",
        "error": "Error 30005 - Unknown destination handset",
    }

    expected = {**given, "locationId": "here", "type": 2, "contentType": "text/plain", "attachments": ()}
    assert expected == message_json(parse_stored_message("here", given, now_ms, "other"))


def test_a_contact_suffices_for_an_sms_of_now() -> None:
    """An unknown field is absent, not null."""
    expected = {
        "id": "m1",
        "type": 2,
        "messageType": "TYPE_SMS",
        "locationId": "here",
        "contactId": "jane",
        "conversationId": default_conversation("here", "jane"),
        "dateAdded": "2027-01-15T08:00:00.000Z",
        "dateUpdated": "2027-01-15T08:00:00.000Z",
        "direction": "inbound",
        "contentType": "text/plain",
        "attachments": (),
    }
    assert expected == message_json(parse_stored_message("here", {"contactId": "jane"}, now_ms, "m1"))


def test_a_late_message_was_updated_on_arrival() -> None:
    late = parse_stored_message("here", {"contactId": "jane", "dateAdded": "2025-03-01"}, now_ms, "m1")

    assert (1_740_787_200_000, now_ms) == (late.added, late.updated)


@pytest.mark.parametrize(
    ("type", "number", "of"),
    [
        ("TYPE_SMS", 2, "SMS"),
        ("SMS", 2, "SMS"),
        ("TYPE_CAMPAIGN_SMS", 7, "SMS"),
        ("TYPE_CUSTOM_PROVIDER_SMS", 22, "SMS"),
        ("TYPE_RCS", 99, "SMS"),
        ("TYPE_SMS_SOMETHING_NEW", 99, "SMS"),
        ("TYPE_CALL", 1, "Call"),
        ("Call", 1, "Call"),
        ("TYPE_CAMPAIGN_VOICEMAIL", 10, "Call"),
        ("TYPE_EMAIL", 3, "Email"),
        ("TYPE_WHATSAPP", 19, "WhatsApp"),
        ("TYPE_ACTIVITY_WHATSAPP", 99, None),
        ("TYPE_WEBCHAT", 5, None),
    ],
)
def test_a_type_has_a_number_and_a_channel(type: str, number: int, of: str | None) -> None:
    shown = message_json(parse_stored_message("here", {"contactId": "jane", "messageType": type}, now_ms, "m1"))

    assert (number, type, of) == (shown["type"], shown["messageType"], channel_of(type))


def test_without_a_channel_all_but_emails_are_exported() -> None:
    types = "TYPE_SMS", "TYPE_CALL", "TYPE_EMAIL", "TYPE_ACTIVITY_OPPORTUNITY"

    assert [True, True, False, True] == [is_exported(type, None) for type in types]
    assert [True, False, False, False] == [is_exported(type, "SMS") for type in types]


@pytest.mark.parametrize("type", ["TYPE_SMS_REVIEW_REQUEST", "TYPE_GROUP_SMS"])
def test_group_chats_and_requests_for_reviews_are_never_exported(type: str) -> None:
    assert (False, False) == (is_exported(type, None), is_exported(type, "SMS"))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "contactId"),
        ({"contactId": 3}, "contactId"),
        ({"contactId": "jane", "body": 3}, "body"),
        ({"contactId": "jane", "dateAdded": "yesterday"}, "dateAdded"),
        ({"contactId": "jane", "attachments": "none"}, "attachments"),
        ({"contactId": "jane", "attachments": [3]}, "attachments"),
    ],
)
def test_a_wrong_shape_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^message: {named}: "):
        parse_stored_message("here", given, now_ms, "m1")
