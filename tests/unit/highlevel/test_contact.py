"""Contacts of HighLevel as values: only values that a payload truly gives."""

import pytest

from processor.highlevel.contact import (
    Contact,
    Payload,
    cursor_after,
    digits,
    e164,
    from_contact,
    from_search,
    normal_email,
)

search_payload: Payload = {
    "id": "c-1",
    "locationId": "loc-1",
    "email": " Jane.Doe@Example.com ",
    "phone": "+15551234567",
    "firstName": "jane",
    "firstNameLowerCase": "jane",
    "firstNameRaw": "Jane",
    "lastName": "mcdoe",
    "lastNameRaw": "McDoe",
    "contactName": "Jane McDoe",
    "companyName": "Acme",
    "businessName": "Acme Holding",
    "website": "https://acme.test",
    "address": "1 Main St",
    "address1": "not a search's",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62701",
    "country": "US",
    "timezone": "America/Chicago",
    "additionalEmails": ["J@Example.com", "jane.doe@example.com"],
    "additionalPhones": ["+15550000000", "+15551234567"],
    "dateAdded": "2024-06-06T18:54:57.221Z",
    "dateUpdated": "2024-06-07T18:54:57Z",
    "searchAfter": [1717700097221, "c-1"],
}
common = {
    "email": "Jane.Doe@Example.com",
    "phone": "+15551234567",
    "company_name": "Acme",
    "website": "https://acme.test",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
}


def read(**changed: object) -> Contact:
    contact = from_search({**search_payload, **changed})
    assert contact is not None
    return contact


def test_a_contact_of_a_search() -> None:
    """Names are read only as entered, the street from `address`, a time zone never."""
    expected = Contact(
        id="c-1",
        location="loc-1",
        email="jane.doe@example.com",
        other_emails=("j@example.com",),
        phone="+15551234567",
        other_phones=("+15550000000",),
        updated=1_717_786_497_000,
        fields=common | {"first_name": "Jane", "last_name": "McDoe", "address": "1 Main St"},
        origin="search",
    )

    assert expected == from_search(search_payload)
    assert (1_717_700_097_221, "c-1") == cursor_after(search_payload)


def test_a_search_without_names_as_entered() -> None:
    """Lower-cased names don't count as names."""
    contact = read(firstNameRaw=None, lastNameRaw="")

    assert {"first_name", "last_name"}.isdisjoint(contact.fields)


def test_a_contact_of_a_get() -> None:
    """It has names in their original case, the street in `address1`, a time zone, and additional e-mails as objects."""
    payload = {
        **{
            name: value
            for name, value in search_payload.items()
            if name not in ("firstNameRaw", "lastNameRaw", "searchAfter")
        },
        "firstName": "Jane",
        "lastName": "McDoe",
        "address": "not a contact's",
        "address1": "1 Main St",
        "additionalEmails": [{"email": "J@Example.com"}, {"phone": "no e-mail"}, None],
        "additionalPhones": [{"phone": "+15550000000"}],
    }
    fields = common | {
        "first_name": "Jane",
        "last_name": "McDoe",
        "address": "1 Main St",
        "timezone": "America/Chicago",
    }

    contact = from_contact(payload)

    assert contact is not None
    assert fields == contact.fields
    assert (("j@example.com",), ("+15550000000",)) == (contact.other_emails, contact.other_phones)
    assert "contact" == contact.origin


@pytest.mark.parametrize("value", [None, "", "  ", 7, True, ["x"], {"x": "y"}, "x" * 1_025])
def test_values_that_are_no_text_count_as_unknown(value: object) -> None:
    contact = read(city=value, email=value, phone=value, locationId=value)

    assert {"city", "email", "phone"}.isdisjoint(contact.fields)
    assert (None, None, None) == (contact.email, contact.phone, contact.location)


def test_a_long_value_is_known_up_to_its_limit() -> None:
    assert "x" * 1_024 == read(city=f" {'x' * 1_024} ").fields["city"]


@pytest.mark.parametrize("contact_id", [None, 7, "", "a b", " c-1", "ü", "x" * 129, "c\n"])
def test_a_contact_without_a_usable_id_is_dropped(contact_id: object) -> None:
    assert from_search({**search_payload, "id": contact_id}) is None
    assert from_contact({**search_payload, "id": contact_id}) is None


def test_a_deleted_contact_is_dropped() -> None:
    assert from_search({**search_payload, "deleted": True}) is None
    assert from_search({**search_payload, "deleted": False}) is not None


def test_additional_emails_and_phones_are_bounded() -> None:
    contact = read(
        additionalEmails=[f"{n}@example.com" for n in range(90)], additionalPhones=[f"+{n}" for n in range(90)]
    )

    assert (50, 50) == (len(contact.other_emails), len(contact.other_phones))


@pytest.mark.parametrize("several", [None, "a@example.com", {"email": "a@example.com"}, 7, [[], 3, ""]])
def test_additional_emails_of_another_shape_are_dropped(several: object) -> None:
    assert () == read(additionalEmails=several).other_emails


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2024-06-06T18:54:57.221Z", 1_717_700_097_221),
        ("2024-06-06T20:54:57.221+02:00", 1_717_700_097_221),
        ("2024-06-06T18:54:57.221", 1_717_700_097_221),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", 253_402_351_199_000),
        ("yesterday", None),
        (1_717_700_097_221, None),
    ],
)
def test_times_are_read_as_ms(text: object, ms: int | None) -> None:
    assert ms == read(dateUpdated=text).updated


@pytest.mark.parametrize("cursor", [None, [], "x", [None], [["x"]], [True], [1, 2, 3, 4, 5], ["x" * 1_025]])
def test_an_unusable_cursor_is_none(cursor: object) -> None:
    assert cursor_after({"searchAfter": cursor}) is None


@pytest.mark.parametrize(
    ("text", "email"),
    [
        (" Jane@Example.COM\n", "jane@example.com"),
        ("jane+tag@example.com", "jane+tag@example.com"),
        ("JÜRGEN@example.com", "jürgen@example.com"),
        ("a@" + "b" * 73, "a@" + "b" * 73),
        ("a@" + "b" * 74, None),
        ("", None),
        ("jane", None),
        ("@example.com", None),
        ("jane@", None),
        ("jane@doe@example.com", None),
        ("jane doe@example.com", None),
        ("jane@exam\u00a0ple.com", None),
        ("jane@example.com\x00", None),
        ("jane@exam\u200bple.com", None),
        ("jane@\ud800.com", None),
    ],
)
def test_an_email_is_normalised_for_searching(text: str, email: str | None) -> None:
    assert email == normal_email(text)


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("+15551234567", "+15551234567"),
        (" +1 (555) 123-45.67 ", "+15551234567"),
        ("+1\u00a0555\u2013123\u20114567", "+15551234567"),
        ("+12345678", "+12345678"),
        ("+123456789012345", "+123456789012345"),
        ("+1234567", None),
        ("+1234567890123456", None),
        ("15551234567", None),
        ("+1555123456x", None),
        ("+1555123456\u0665", None),
        ("++15551234567", None),
        ("", None),
    ],
)
def test_a_phone_is_read_only_with_its_country_code(text: str, phone: str | None) -> None:
    assert phone == e164(text)


def test_digits_of_a_phone_are_compared() -> None:
    assert "15551234567" == digits("+1 (555) 123-4567 \u0665")


def test_a_repr_shows_nothing_personal() -> None:
    assert "Contact(c-1, from search)" == repr(read())
