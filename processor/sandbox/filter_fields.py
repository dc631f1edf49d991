"""Define the fields that a search can filter by, and the operators that each field allows (contract.md §4.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from processor.sandbox.json_values import lowered
from processor.sandbox.stored_contact import StoredContact

FieldValue = str | int | float | bool | tuple[str, ...] | None

_equality: Final = frozenset(("eq", "not_eq"))
_presence: Final = frozenset(("exists", "not_exists"))
_part: Final = frozenset(("contains", "not_contains"))
_ranges: Final = frozenset(("range",))
filter_operators: Final = _equality | _presence | _part | _ranges


@dataclass(frozen=True, slots=True)
class FilterField:
    read: Callable[[StoredContact], FieldValue]
    operators: frozenset[str]
    folded: bool = False  # compared without regard to case


def _text(name: str) -> Callable[[StoredContact], FieldValue]:
    def read(contact: StoredContact) -> FieldValue:
        value: str | None = getattr(contact, name)
        return value.lower() if value else value

    return read


def _extra(*path: str) -> Callable[[StoredContact], FieldValue]:
    def read(contact: StoredContact) -> FieldValue:
        value: Any = contact.extra  # JSON of any shape
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return _folded(value)

    return read


def _custom(id: str) -> Callable[[StoredContact], FieldValue]:
    def read(contact: StoredContact) -> FieldValue:
        for item in (contact.extra or {}).get("customFields") or ():
            if item.get("id") == id:
                return _folded(item.get("value"))
        return None

    return read


def _folded(value: Any) -> FieldValue:  # JSON of any shape
    if isinstance(value, list):
        return tuple(str(item).lower() for item in value)
    if isinstance(value, str):
        return value.lower()
    return value if isinstance(value, int | float) else None


_words: Final = _equality | _presence | _part
_fixed: Final[dict[str, FilterField]] = {
    "id": FilterField(lambda contact: contact.id, _equality),
    # The docs don't say if `eq` folds case. The sandbox takes the harder reading: only its lower case finds an e-mail.
    "email": FilterField(lambda contact: lowered(contact.email), _equality | _presence),
    "phone": FilterField(lambda contact: contact.phone, _words),
    "firstNameLowerCase": FilterField(lambda contact: lowered(contact.first_name), _words),
    "lastNameLowerCase": FilterField(lambda contact: lowered(contact.last_name), _words),
    "companyName": FilterField(_text("company_name"), _words, folded=True),
    "website": FilterField(_text("website"), _words, folded=True),
    "address": FilterField(_text("address"), _words, folded=True),
    "city": FilterField(_text("city"), _words, folded=True),
    "state": FilterField(_text("state"), _words, folded=True),
    "postalCode": FilterField(_text("postal_code"), _words, folded=True),
    "country": FilterField(_text("country"), _equality | _presence, folded=True),
    "source": FilterField(_text("source"), _words, folded=True),
    "type": FilterField(_text("type"), _equality | _presence, folded=True),
    "tags": FilterField(lambda contact: contact.tags, _words, folded=True),
    "dnd": FilterField(lambda contact: contact.dnd, _equality | _presence),
    "assignedTo": FilterField(_extra("assignedTo"), _equality | _presence, folded=True),
    "businessName": FilterField(_extra("businessName"), _words, folded=True),
    "dateAdded": FilterField(lambda contact: contact.added, _ranges | _presence),
    "dateUpdated": FilterField(lambda contact: contact.updated, _ranges | _presence),
}


def filter_field(name: str) -> FilterField | None:
    """Return the field, None if search can't filter by it, such as additional e-mails."""
    if name in _fixed:
        return _fixed[name]
    match name.split("."):
        case ["customFields", id]:
            return FilterField(_custom(id), filter_operators, folded=True)
        case ["dndSettings", ("Call" | "Email" | "SMS" | "WhatsApp" | "GMB" | "FB") as channel, "status"]:
            return FilterField(_extra("dndSettings", channel, "status"), _equality | _presence, folded=True)
    return None
