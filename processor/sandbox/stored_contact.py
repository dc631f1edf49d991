"""Read a contact and show it in HighLevel's two shapes: a search result, and GET by id (contract.md §4.1, §4.3)."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from processor.sandbox.json_values import iso_time, lowered, optional_text, optional_time

ExtraFields = Mapping[str, Any]  # further fields of GET's shape, kept as given: any JSON


class StoredContact(NamedTuple):
    """Hold a contact; None is unknown. It is a tuple because a million contacts must fit in memory."""

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
    extra: ExtraFields | None = None

    @property
    def name(self) -> str | None:
        return " ".join(part for part in (self.first_name, self.last_name) if part) or None


contact_texts: Final = {
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
derived_fields: Final = frozenset(
    ("id", "locationId", "name", "emailLowerCase", "firstNameLowerCase", "lastNameLowerCase", "fullNameLowerCase")
)
search_only_fields: Final = frozenset(
    ("phoneLabel", "businessName", "validEmail", "followers", "opportunities")
)  # GET never shows them (contract.md §4.1's table)
get_only_fields: Final = frozenset(
    ("inboundDndSettings", "visitorId", "lastActivity", "attachments", "ssn", "keyword")
)  # search never shows them, nor the time zone


def parse_stored_contact(location: str, shown: Mapping[str, Any], now_ms: int, id: str) -> StoredContact:
    """Return a contact given in GET's shape. `id` and `now_ms` stand in for a missing id and time.

    Raise ValueError that names the wrong field.
    """
    unknown = {"address", "firstNameRaw", "lastNameRaw", "contactName"} & shown.keys()
    if unknown:
        raise ValueError(f"contact: {min(unknown)}: not in GET's shape")
    fields: dict[str, Any] = {ours: optional_text("contact", shown, theirs) for theirs, ours in contact_texts.items()}
    for theirs, ours in (("additionalEmails", "additional_emails"), ("additionalPhones", "additional_phones")):
        fields[ours] = tuple(_parse_addresses(shown.get(theirs), "email" if theirs == "additionalEmails" else "phone"))
    known = {
        *contact_texts,
        *derived_fields,
        "additionalEmails",
        "additionalPhones",
        "tags",
        "dnd",
        "dateAdded",
        "dateUpdated",
    }
    added = optional_time("contact", shown, "dateAdded", now_ms)
    return StoredContact(
        id=optional_text("contact", shown, "id") or id,
        location=location,
        added=added,
        updated=optional_time("contact", shown, "dateUpdated", added),
        dnd=bool(shown.get("dnd")),
        tags=tuple(str(tag).lower() for tag in shown.get("tags") or ()),  # contract.md §4.4: HighLevel lower-cases tags
        extra={name: value for name, value in shown.items() if name not in known} or None,
        **fields,
    )


def merge_contacts(kept: StoredContact, gone: StoredContact) -> StoredContact:
    """Merge as HighLevel does: known fields of the first stay, the second fills its gaps, all e-mails and phones are kept."""
    fields = {ours: getattr(kept, ours) or getattr(gone, ours) for ours in contact_texts.values()}
    emails = (*kept.additional_emails, gone.email, *gone.additional_emails)
    phones = (*kept.additional_phones, gone.phone, *gone.additional_phones)
    return kept._replace(
        **fields,
        tags=tuple(dict.fromkeys((*kept.tags, *gone.tags))),
        additional_emails=_additional(emails, fields["email"]),
        additional_phones=_additional(phones, fields["phone"]),
    )


def contact_json(contact: StoredContact) -> dict[str, Any]:
    """Return GET's shape: original case and the time zone; unknown fields are absent."""
    shown: dict[str, Any] = {"id": contact.id, "locationId": contact.location}
    shown.update(
        (theirs, value) for theirs, ours in contact_texts.items() if (value := getattr(contact, ours)) is not None
    )
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
    shown["dateAdded"], shown["dateUpdated"] = iso_time(contact.added), iso_time(contact.updated)
    shown["additionalEmails"] = [{"email": email} for email in contact.additional_emails]
    shown["customFields"] = []
    if contact.extra:
        shown.update((name, value) for name, value in contact.extra.items() if name not in search_only_fields)
    return shown


def search_result_json(contact: StoredContact, raw_names: bool, search_after: list[Any]) -> dict[str, Any]:
    """Return search's shape: names in lower case, `address` for `address1`, no time zone; unknown fields are null."""
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
        **dict.fromkeys(("customFields", "followers", "opportunities"), ()),
        **dict.fromkeys(("phoneLabel", "businessName", "validEmail")),
        "dateAdded": iso_time(contact.added),
        "dateUpdated": iso_time(contact.updated),
        "searchAfter": search_after,
    }
    if raw_names:
        shown["firstNameRaw"], shown["lastNameRaw"] = contact.first_name, contact.last_name
        shown["contactName"] = contact.name
    if contact.extra:
        shown.update((name, value) for name, value in contact.extra.items() if name not in get_only_fields)
    return shown


def _additional(addresses: tuple[str | None, ...], primary: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for address in addresses if address and lowered(address) != lowered(primary)))


def _parse_addresses(given: Any, name: str) -> list[str]:  # any JSON
    """Return addresses given as strings, as in search, or as objects, as in GET. Raise ValueError if one is neither."""
    found = [item.get(name) if isinstance(item, dict) else item for item in given or ()]
    addresses = [address for address in found if isinstance(address, str)]
    if len(addresses) < len(found):
        raise ValueError(f"contact: additional {name}s: neither strings nor objects with `{name}`")
    return addresses
