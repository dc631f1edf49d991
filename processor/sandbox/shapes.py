"""A contact, and the two shapes in which HighLevel shows it: a hit of a search, and GET by id (contract.md §4.1, §4.3)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

Extra = Mapping[str, Any]  # further fields of GET's shape, kept as given: any JSON


class Contact(NamedTuple):
    """None is unknown. A tuple: a world of a million contacts must fit in memory."""

    id: str
    location: str
    added: int  # ms since 1970
    updated: int
    email: str | None = None  # as entered
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    website: str | None = None
    address: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    timezone: str | None = None
    source: str | None = None
    type: str | None = None
    dnd: bool = False
    tags: tuple[str, ...] = ()
    additional_emails: tuple[str, ...] = ()
    additional_phones: tuple[str, ...] = ()
    extra: Extra | None = None

    @property
    def name(self) -> str | None:
        return " ".join(part for part in (self.first_name, self.last_name) if part) or None


texts: Final = {
    "email": "email",
    "phone": "phone",
    "firstName": "first_name",
    "lastName": "last_name",
    "companyName": "company_name",
    "website": "website",
    "address1": "address",
    "city": "city",
    "state": "state",
    "postalCode": "postal_code",
    "country": "country",
    "timezone": "timezone",
    "source": "source",
    "type": "type",
}
derived: Final = frozenset(
    ("id", "locationId", "name", "emailLowerCase", "firstNameLowerCase", "lastNameLowerCase", "fullNameLowerCase")
)
of_search_only: Final = frozenset(
    ("phoneLabel", "businessName", "validEmail", "followers", "opportunities")
)  # contract.md §4.1's table: GET never shows them
of_get_only: Final = frozenset(
    ("inboundDndSettings", "visitorId", "lastActivity", "attachments", "ssn", "keyword")
)  # and search never these, nor the time zone


def parse(location: str, shown: Mapping[str, Any], now_ms: int, id: str) -> Contact:
    """A contact in GET's shape; ValueError names the field. `id` and `now_ms` serve where it has none of its own."""
    unknown = {"address", "firstNameRaw", "lastNameRaw", "contactName"} & shown.keys()
    if unknown:
        raise ValueError(f"contact: {min(unknown)}: not in GET's shape")
    fields: dict[str, Any] = {ours: _text(shown, theirs) for theirs, ours in texts.items()}
    for theirs, ours in (("additionalEmails", "additional_emails"), ("additionalPhones", "additional_phones")):
        fields[ours] = tuple(_addresses(shown.get(theirs), "email" if theirs == "additionalEmails" else "phone"))
    known = {*texts, *derived, "additionalEmails", "additionalPhones", "tags", "dnd", "dateAdded", "dateUpdated"}
    added = _time(shown, "dateAdded", now_ms)
    return Contact(
        id=_text(shown, "id") or id,
        location=location,
        added=added,
        updated=_time(shown, "dateUpdated", added),
        dnd=bool(shown.get("dnd")),
        tags=tuple(str(tag).lower() for tag in shown.get("tags") or ()),  # contract.md §4.4: HighLevel lower-cases tags
        extra={name: value for name, value in shown.items() if name not in known} or None,
        **fields,
    )


def merged(kept: Contact, gone: Contact) -> Contact:
    """As HighLevel merges: what is known of the one stays, the other fills its gaps; e-mails and phones are all kept."""
    fields = {ours: getattr(kept, ours) or getattr(gone, ours) for ours in texts.values()}
    emails = (*kept.additional_emails, gone.email, *gone.additional_emails)
    phones = (*kept.additional_phones, gone.phone, *gone.additional_phones)
    return kept._replace(
        **fields,
        tags=tuple(dict.fromkeys((*kept.tags, *gone.tags))),
        additional_emails=_others(emails, fields["email"]),
        additional_phones=_others(phones, fields["phone"]),
    )


def full(contact: Contact) -> dict[str, Any]:
    """GET by id: original case, the time zone; unknown fields are absent."""
    shown: dict[str, Any] = {"id": contact.id, "locationId": contact.location}
    shown.update((theirs, value) for theirs, ours in texts.items() if (value := getattr(contact, ours)) is not None)
    named = {
        "name": contact.name,
        "emailLowerCase": lowered(contact.email),
        "firstNameLowerCase": lowered(contact.first_name),
        "lastNameLowerCase": lowered(contact.last_name),
        "fullNameLowerCase": lowered(contact.name),
    }
    shown |= {name: value for name, value in named.items() if value is not None}
    shown["dnd"] = contact.dnd
    shown["tags"] = contact.tags
    shown["dateAdded"], shown["dateUpdated"] = iso(contact.added), iso(contact.updated)
    shown["additionalEmails"] = [{"email": email} for email in contact.additional_emails]
    shown["customFields"] = []
    if contact.extra:
        shown.update((name, value) for name, value in contact.extra.items() if name not in of_search_only)
    return shown


def hit(contact: Contact, raw_names: bool, search_after: list[Any]) -> dict[str, Any]:
    """A search's hit: names in lower case, `address` for GET's `address1`, never the time zone; unknown fields are null."""
    first, last = lowered(contact.first_name), lowered(contact.last_name)
    shown: dict[str, Any] = {
        "id": contact.id,
        "locationId": contact.location,
        "email": contact.email,
        "phone": contact.phone,
        "firstName": first,
        "lastName": last,
        "firstNameLowerCase": first,
        "lastNameLowerCase": last,
        "companyName": contact.company_name,
        "website": contact.website,
        "address": contact.address,
        "city": contact.city,
        "state": contact.state,
        "postalCode": contact.postal_code,
        "country": contact.country,
        "source": contact.source,
        "type": contact.type,
        "dnd": contact.dnd,
        "tags": contact.tags,
        "additionalEmails": contact.additional_emails,
        "additionalPhones": contact.additional_phones,
        "customFields": [],
        "followers": [],
        "opportunities": [],
        "phoneLabel": None,
        "businessName": None,
        "validEmail": None,
        "dateAdded": iso(contact.added),
        "dateUpdated": iso(contact.updated),
        "searchAfter": search_after,
    }
    if raw_names:
        shown["firstNameRaw"], shown["lastNameRaw"] = contact.first_name, contact.last_name
        shown["contactName"] = contact.name
    if contact.extra:
        shown.update((name, value) for name, value in contact.extra.items() if name not in of_get_only)
    return shown


def lowered(text: str | None) -> str | None:
    return text.lower() if text else text


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def milliseconds(text: str) -> int:
    """ms since 1970 of an ISO date or date-time, UTC where it names no zone; ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


def _text(shown: Mapping[str, Any], name: str) -> str | None:
    value = shown.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"contact: {name}: not a string")
    return value


def _time(shown: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = _text(shown, name)
    try:
        return milliseconds(value) if value else otherwise
    except ValueError:
        raise ValueError(f"contact: {name}: not an ISO 8601 time") from None


def _others(addresses: tuple[str | None, ...], primary: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for address in addresses if address and lowered(address) != lowered(primary)))


def _addresses(given: Any, name: str) -> list[str]:  # any JSON
    """Strings as in search, or objects as in GET."""
    found = [item.get(name) if isinstance(item, dict) else item for item in given or ()]
    addresses = [address for address in found if isinstance(address, str)]
    if len(addresses) < len(found):
        raise ValueError(f"contact: additional {name}s: neither strings nor objects with `{name}`")
    return addresses
