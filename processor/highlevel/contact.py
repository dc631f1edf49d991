"""Contacts of HighLevel as values. Only values that a payload truly gives are read, none that it only seems to give.

Search and GET name the same things differently, and search lower-cases names (contract.md §4.1, §4.3). No field is
promised: absent, null, "" and values that aren't text count as unknown.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Payload = Mapping[str, object]  # a JSON object of HighLevel's
Cursor = tuple[str | int | float, ...]  # the sort values of a contact, and its id; continues a listing after it
Origin = Literal["search", "scan", "contact"]  # scan: a page of all contacts, in the shape of a search

value_limit: Final = 75  # characters a search filter can compare (contract.md §4.1)
field_limit: Final = 1_024  # characters; a longer field counts as unknown (DESIGN §3)
additional_limit: Final = 50  # additional e-mails or phones kept of one contact
cursor_limit: Final = 4  # values of a searchAfter: two sort fields and a tie-breaker need three

in_both: Final = {  # our field → theirs
    "email": "email",
    "phone": "phone",
    "company_name": "companyName",
    "website": "website",
    "city": "city",
    "state": "state",
    "postal_code": "postalCode",
    "country": "country",
}
in_search: Final = in_both | {
    # [?] contract.md §4.1: users read names as entered from these two. Never firstName or firstNameLowerCase, which are
    # lower-cased, nor contactName, which doesn't show where the last name begins. Absent: a GET gives the names.
    "first_name": "firstNameRaw",
    "last_name": "lastNameRaw",
    "address": "address",
}
in_contact: Final = in_both | {
    "first_name": "firstName",
    "last_name": "lastName",
    "address": "address1",
    "timezone": "timezone",
}

_epoch: Final = datetime(1970, 1, 1, tzinfo=UTC)
id_form: Final = re.compile(r"[\x21-\x7e]{1,128}")
e164_form: Final = re.compile(r"\+[0-9]{8,15}")
phone_dressing: Final = re.compile(r"[\s.\-\u2010-\u2015()\[\]]")  # spaces, dots, dashes, brackets
not_digits: Final = re.compile(r"[^0-9]")


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """A contact as one payload shows it. Times are ms since 1970; e-mails are trimmed and lower-cased, phones as given."""

    id: str
    location: str | None
    email: str | None
    other_emails: tuple[str, ...]
    phone: str | None
    other_phones: tuple[str, ...]
    updated: int | None
    fields: Mapping[str, str]  # hydratable field → its value as given by this payload
    origin: Origin

    def __repr__(self) -> str:
        return f"Contact({self.id}, from {self.origin})"  # the rest is personal


def from_search(payload: Payload, origin: Origin = "search") -> Contact | None:
    """Return a contact of POST /contacts/search; None if it is deleted or has no usable id."""
    return _contact(payload, in_search, origin)


def from_contact(payload: Payload) -> Contact | None:
    """Return the contact of GET /contacts/{id}, unwrapped; None if it is deleted or has no usable id."""
    return _contact(payload, in_contact, "contact")


def normal_email(text: str) -> str | None:
    """Return the e-mail in the form for searching and comparing; None if no search can find it."""
    email = text.strip().lower()
    name, _, host = email.partition("@")
    usable = name and host and "@" not in host and " " not in email and email.isprintable()
    return email if usable and len(email) <= value_limit else None


def e164(text: str) -> str | None:
    """Return the phone as `+15551234567`; None where the country code would have to be guessed."""
    phone = phone_dressing.sub("", text)
    return phone if e164_form.fullmatch(phone) else None


def digits(text: str) -> str:
    """Return the digits of a phone, for comparing."""
    return not_digits.sub("", text)


def as_time(ms: int) -> str:
    """Return ms since 1970 as HighLevel writes a time."""
    return f"{(_epoch + timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')[:23]}Z"


def _contact(payload: Payload, names: Mapping[str, str], origin: Origin) -> Contact | None:
    contact_id = payload.get("id")
    if not isinstance(contact_id, str) or not id_form.fullmatch(contact_id) or payload.get("deleted") is True:
        return None
    fields = {ours: value for ours, theirs in names.items() if (value := short_text(payload.get(theirs)))}
    email = fields.get("email", "").lower() or None
    phone = fields.get("phone")
    emails = dict.fromkeys(other.lower() for other in _several(payload.get("additionalEmails"), "email"))
    phones = dict.fromkeys(_several(payload.get("additionalPhones"), "phone"))
    return Contact(
        id=contact_id,
        location=short_text(payload.get("locationId")),
        email=email,
        other_emails=tuple(other for other in emails if other != email)[:additional_limit],
        phone=phone,
        other_phones=tuple(other for other in phones if other != phone)[:additional_limit],
        updated=parse_time(payload.get("dateUpdated")),
        fields=fields,
        origin=origin,
    )


def short_text(value: object) -> str | None:
    """Return the trimmed text; None if it is no text, empty or too long."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if 0 < len(text) <= field_limit else None


def _several(values: object, name: str) -> Iterator[str]:
    """Yield the texts of a list: strings in search, objects in GET (contract.md §4.1; [?] so are phones)."""
    for value in values if isinstance(values, list) else ():
        if text := short_text(value.get(name) if isinstance(value, dict) else value):
            yield text


def parse_time(value: object) -> int | None:
    """Return an ISO 8601 time as ms since 1970; None if it is unreadable or before 1970."""
    if (text := short_text(value)) is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _epoch
    except (ValueError, OverflowError):
        return None
    return ms if (ms := since // timedelta(milliseconds=1)) >= 0 else None


def cursor_after(payload: Payload) -> Cursor | None:
    """Return the cursor that continues a search after this contact (contract.md §4.1: `searchAfter`)."""
    value = payload.get("searchAfter")
    if not isinstance(value, list) or not 0 < len(value) <= cursor_limit:
        return None
    parts = tuple(part for part in value if isinstance(part, str | int | float) and not isinstance(part, bool))
    short = all(not isinstance(part, str) or len(part) <= field_limit for part in parts)
    return parts if short and len(parts) == len(value) else None
