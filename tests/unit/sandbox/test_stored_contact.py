"""A contact in the shapes of GET and of search."""

from typing import Any

import pytest

from processor.sandbox.json_values import iso_time, parse_time_ms
from processor.sandbox.stored_contact import contact_json, parse_stored_contact, search_result_json

now_ms = 1_800_000_000_000


def test_get_shows_what_it_was_given(jane: dict[str, Any]) -> None:
    shown = contact_json(parse_stored_contact("here", jane, now_ms, "other"))

    assert jane.items() <= shown.items()
    assert ("Jane McDonald", "jane mcdonald", "jane", "mcdonald", "jane@example.com") == tuple(
        shown[name]
        for name in ("name", "fullNameLowerCase", "firstNameLowerCase", "lastNameLowerCase", "emailLowerCase")
    )
    assert "state" not in shown


def test_search_shows_another_shape(jane: dict[str, Any]) -> None:
    """It has names in lower case, `address`, plain strings for additional e-mails, and no time zone."""
    shown = search_result_json(parse_stored_contact("here", jane, now_ms, "other"), False, [1, "x"])

    assert "1 Main St" == shown["address"]
    assert ("jane", "mcdonald", "jane") == (shown["firstName"], shown["lastName"], shown["firstNameLowerCase"])
    assert ("j@example.org",) == shown["additionalEmails"]
    assert ("Jane@Example.com", None, [1, "x"]) == (shown["email"], shown["state"], shown["searchAfter"])
    assert not {"timezone", "address1", "name", "emailLowerCase", "firstNameRaw", "contactName"} & shown.keys()


def test_raw_names_come_where_they_are_on(jane: dict[str, Any]) -> None:
    shown = search_result_json(parse_stored_contact("here", jane, now_ms, "other"), True, [])

    assert ("Jane", "McDonald", "Jane McDonald") == tuple(
        shown[name] for name in ("firstNameRaw", "lastNameRaw", "contactName")
    )


def test_further_fields_are_kept_and_shown_where_they_belong() -> None:
    given = {"customFields": [{"id": "f", "value": 3}], "followers": ["u"], "ssn": "s", "assignedTo": "u"}
    contact = parse_stored_contact("here", given, now_ms, "x")

    assert {"customFields", "ssn", "assignedTo"} == given.keys() & contact_json(contact).keys()
    assert {"customFields", "followers", "assignedTo"} == given.keys() & search_result_json(contact, False, []).keys()
    assert (
        [{"id": "f", "value": 3}]
        == contact_json(contact)["customFields"]
        == search_result_json(contact, False, [])["customFields"]
    )


def test_unknown_times_are_now() -> None:
    contact = parse_stored_contact("here", {"additionalEmails": ["a@example.com"]}, now_ms, "x")

    assert ("x", now_ms, now_ms, ("a@example.com",)) == (
        contact.id,
        contact.added,
        contact.updated,
        contact.additional_emails,
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"address": "1 Main St"}, "address"),
        ({"firstNameRaw": "Jane"}, "firstNameRaw"),
        ({"email": 3}, "email"),
        ({"dateAdded": "yesterday"}, "dateAdded"),
        ({"additionalEmails": [3]}, "additional emails"),
    ],
)
def test_a_wrong_shape_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^contact: {named}: "):
        parse_stored_contact("here", given, now_ms, "x")


def test_times_survive() -> None:
    assert "2024-06-06T18:54:57.221Z" == iso_time(parse_time_ms("2024-06-06T18:54:57.221Z"))
    assert parse_time_ms("2024-06-06T00:00:00Z") == parse_time_ms("2024-06-06")
