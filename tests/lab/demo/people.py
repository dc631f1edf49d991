"""The people of the demo: nobody's data (reserved domains, area 555), as upstream and as HighLevel write it down."""

from collections.abc import Collection, Mapping
from random import Random
from typing import Any, Final

from processor.sandbox.synthetic_contacts import companies, domains, first_names, last_names, places, streets, websites

Fields = Mapping[str, str]  # known fields, by the names of lead.changed

names: Final = ("first_name", "last_name")
optional: Final = ("company_name", "website", "address", "city", "state", "postal_code", "country", "timezone")
fields: Final = ("email", "phone", *names, *optional)  # DESIGN §3: the hydratable ones
highlevels: Final[Mapping[str, str]] = {
    "email": "email",
    "phone": "phone",
    "first_name": "firstName",
    "last_name": "lastName",
    "company_name": "companyName",
    "website": "website",
    "address": "address1",
    "city": "city",
    "state": "state",
    "postal_code": "postalCode",
    "country": "country",
    "timezone": "timezone",
}  # contract.md §4.3
phones_each: Final = 4  # telephone numbers set apart for the contacts of one lead


def person(draw: Random, number: int) -> dict[str, str]:
    """All fields, as the person would say them. E-mail and first phone are those of this `number` alone."""
    first, last = draw.choice(first_names), draw.choice(last_names).replace("_", " ")
    mailbox = "".join(
        letter for letter in f"{first}.{last}" if letter.isascii() and (letter.isalpha() or letter == ".")
    )
    return {
        "email": f"{mailbox}.{number}@{draw.choice(domains)}".lower(),
        "phone": phone(number),
        "first_name": first,
        "last_name": last,
        **surroundings(draw),
    }


def surroundings(draw: Random) -> dict[str, str]:
    """The optional fields: two records of one person need not agree on them."""
    company = draw.randrange(len(companies))
    city, state, zip_code, country, timezone = draw.choice(places)
    return {
        "company_name": companies[company],
        "website": websites[company],
        "address": f"{1 + draw.randrange(9_999)} {draw.choice(streets)} St",
        "city": city,
        "state": state,
        "postal_code": f"{zip_code}{draw.randrange(100):02d}",
        "country": country,
        "timezone": timezone,
    }


def phone(number: int, other: int = 0) -> str:
    return f"+1555{number * phones_each + other:07d}"


def dressed(draw: Random, phone: str) -> str:
    """The same number as people write it, country code and all."""
    country, area, exchange, line = phone[:2], phone[2:5], phone[5:8], phone[8:]
    return draw.choice(
        (
            phone,
            f"{country} ({area}) {exchange}-{line}",
            f"{country} {area}.{exchange}.{line}",
            f"{country}-{area}-{exchange}-{line}",
        )
    )


def typed(draw: Random, email: str) -> str:
    """The same e-mail as people type it: in mixed case, with spaces around."""
    mixed = "".join(letter.upper() if draw.random() < 0.3 else letter for letter in email)
    return draw.choice((mixed, mixed, f" {mixed}", f"{mixed}  "))


def without(draw: Random, known: Fields, missing: Collection[str], share: float) -> dict[str, str]:
    """What is left without these fields, and without a share of the optional ones."""
    left = {name: value for name, value in known.items() if name not in missing}
    return {name: value for name, value in left.items() if name not in optional or draw.random() >= share}


def blanks(draw: Random, unknown: Collection[str]) -> dict[str, Any]:
    """Unknown is absent, null or empty: all three mean the same, upstream and at HighLevel."""
    drawn = {name: draw.choice((None, "", ...)) for name in unknown}
    return {name: value for name, value in drawn.items() if value is not ...}


def contact(draw: Random, contact_id: str, known: Fields, updated: str, **more: Any) -> dict[str, Any]:
    """A contact in the shape of HighLevel's GET; JSON."""
    shown = {highlevels[name]: value for name, value in known.items()}
    shown |= blanks(draw, [theirs for ours, theirs in highlevels.items() if ours not in known])
    return {
        "id": contact_id,
        **shown,
        "type": "lead",
        "dateAdded": "2023-02-01T09:30:00.000Z",
        "dateUpdated": updated,
        **more,
    }
