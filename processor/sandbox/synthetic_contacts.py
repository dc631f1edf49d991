"""Make synthetic contacts, the same for a seed and a location. They are no real data: reserved domains, telephone area 555."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from processor.sandbox.stored_contact import StoredContact

first_contact_ms: Final = 1_609_459_200_000  # 2021-01-01
contacts_span_ms: Final = 4 * 365 * 86_400_000  # all contacts come within four years
updated_within_ms: Final = 180 * 86_400_000
id_letters: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_to_letters: Final = bytes(id_letters[byte % len(id_letters)] for byte in range(256))

_first_names: Final = (
    "Ada Ben Chloe Daniel Elena Farid Grace Hugo Ines Jamal Kira Liam Maya Noah Olga Priya Quinn Rosa Samuel Tara Uma "
    "Victor Wendy Xavier Yara Zoe Anne-Marie Björn DeShawn Siobhán"
)
_last_names: Final = (
    "Adams Baker Castillo Diaz Evans Fischer Garcia Hughes Ibrahim Jensen Khan Lopez McDonald Nguyen O'Brien Patel "
    "Quigley Rossi Schmidt Torres Underwood Vargas Walker Xu Young Zimmermann van_Dyke de_la_Cruz"
)
first_names: Final = tuple(_first_names.split())
last_names: Final = tuple(name.replace("_", " ") for name in _last_names.split())
streets: Final = ("Main", "Oak", "Maple", "Cedar", "Elm", "Lake", "Hill", "Park", "Church", "Mill")
trades: Final = ("Plumbing", "Dental", "Realty", "Fitness", "Legal", "Solar", "Roofing", "Studio", "Motors", "Bakery")
contact_sources: Final = ("website", "facebook", "referral", "import", "emailbison", "public api")
domains: Final = ("example.com", "example.org", "example.net")
places: Final = (
    ("Phoenix", "AZ", "850", "US", "America/Phoenix"),
    ("Los Angeles", "CA", "900", "US", "America/Los_Angeles"),
    ("Denver", "CO", "802", "US", "America/Denver"),
    ("Miami", "FL", "331", "US", "America/New_York"),
    ("Atlanta", "GA", "303", "US", "America/New_York"),
    ("Chicago", "IL", "606", "US", "America/Chicago"),
    ("New York", "NY", "100", "US", "America/New_York"),
    ("Portland", "OR", "972", "US", "America/Los_Angeles"),
    ("Austin", "TX", "787", "US", "America/Chicago"),
    ("Seattle", "WA", "981", "US", "America/Los_Angeles"),
)
companies: Final = tuple(f"{name} {trade}" for name in last_names for trade in trades)
websites: Final = tuple(f"https://{''.join(filter(str.isalnum, company)).lower()}.example.com" for company in companies)


@dataclass(frozen=True, slots=True)
class ContactMix:
    """Set the shares of contacts, 0 to 1, with a special property. Raise ValueError for a share out of range."""

    without_email: float = 0.02
    without_phone: float = 0.1
    gaps: float = 0.15  # of each further field: unknown
    mixed_case: float = 0.3  # e-mail entered in mixed case
    additional_emails: float = 0.05
    shared_email: float = 0.0  # e-mail of the contact before
    imported: float = 0.1  # added in the millisecond of the contact before

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"mix: {name}: not a number from 0 to 1")


def id_from_bytes(drawn: bytes) -> str:
    """Return an id like HighLevel's: a letter or digit for each byte, usually 20."""
    return drawn.translate(_to_letters).decode()


def synthetic_contacts(location: str, n: int, seed: int = 0, mix: ContactMix | None = None) -> Iterator[StoredContact]:
    """Yield `n` contacts in the order of their `added`. A larger `n` begins with the same contacts."""
    mix = mix or ContactMix()
    draw = Random(f"{seed} {location}")
    added, email = first_contact_ms, None
    step_ms = contacts_span_ms // 1_000_000
    for number in range(n):
        if draw.random() >= mix.imported:
            added += 1 + int(draw.random() * 2 * step_ms)
        first, last = draw.choice(first_names), draw.choice(last_names)
        if draw.random() >= mix.shared_email or not email:
            email = _email(draw, first, last, number, mix)
        yield _contact(draw, location, added, first, last, email, number, mix)


def _email(draw: Random, first: str, last: str, number: int, mix: ContactMix) -> str | None:
    if draw.random() < mix.without_email:
        return None
    mailbox = f"{_plain(first)}.{_plain(last)}{number}"
    if draw.random() >= mix.mixed_case:
        mailbox = mailbox.lower()
    return f"{mailbox}@{draw.choice(domains)}"


def _plain(name: str) -> str:
    return "".join(letter for letter in name if letter.isascii() and letter.isalpha())


def _contact(
    draw: Random, location: str, added: int, first: str, last: str, email: str | None, number: int, mix: ContactMix
) -> StoredContact:
    def known(value: str) -> str | None:
        drawn = draw.random()
        return value if drawn >= mix.gaps else None if drawn < mix.gaps * 2 / 3 else ""  # HighLevel has both

    company = draw.randrange(len(companies))
    city, state, zip_code, country, timezone = draw.choice(places)
    phone = None if draw.random() < mix.without_phone else f"+1555{number % 10_000_000:07d}"
    more = (f"alt{number}@example.org",) if draw.random() < mix.additional_emails else ()
    return StoredContact(
        id=id_from_bytes(draw.randbytes(20)),
        location=location,
        added=added,
        updated=added + int(draw.random() * updated_within_ms),
        email=email,
        phone=phone,
        first_name=known(first),
        last_name=known(last),
        company_name=known(companies[company]),
        website=known(websites[company]),
        address=known(f"{1 + draw.randrange(9_999)} {draw.choice(streets)} St"),
        city=known(city),
        state=known(state),
        postal_code=known(f"{zip_code}{draw.randrange(100):02d}"),
        country=known(country),
        timezone=known(timezone),
        source=draw.choice(contact_sources),
        type="lead" if draw.random() < 0.7 else "customer",
        additional_emails=more,
    )
