"""The fields that a search can filter by, and the operators that each of them allows (contract.md §4.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from processor.sandbox.shapes import Contact, lowered

Value = str | int | float | bool | tuple[str, ...] | None

equality: Final = frozenset(("eq", "not_eq"))
presence: Final = frozenset(("exists", "not_exists"))
part: Final = frozenset(("contains", "not_contains"))
ranges: Final = frozenset(("range",))
operators: Final = equality | presence | part | ranges


@dataclass(frozen=True, slots=True)
class Field:
    read: Callable[[Contact], Value]
    operators: frozenset[str]
    folded: bool = False  # compared without regard to case


def _text(name: str) -> Callable[[Contact], Value]:
    def read(contact: Contact) -> Value:
        value: str | None = getattr(contact, name)
        return value.lower() if value else value

    return read


def _extra(*path: str) -> Callable[[Contact], Value]:
    def read(contact: Contact) -> Value:
        value: Any = contact.extra  # JSON of any shape
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return _folded(value)

    return read


def _custom(id: str) -> Callable[[Contact], Value]:
    def read(contact: Contact) -> Value:
        for item in (contact.extra or {}).get("customFields") or ():
            if item.get("id") == id:
                return _folded(item.get("value"))
        return None

    return read


def _folded(value: Any) -> Value:  # JSON of any shape
    if isinstance(value, list):
        return tuple(str(item).lower() for item in value)
    if isinstance(value, str):
        return value.lower()
    return value if isinstance(value, int | float) else None


_words: Final = equality | presence | part
_fixed: Final[dict[str, Field]] = {
    "id": Field(lambda contact: contact.id, equality),
    # Whether `eq` folds case isn't documented: the sandbox takes the harder reading and finds a stored e-mail by its lower case only.
    "email": Field(lambda contact: lowered(contact.email), equality | presence),
    "phone": Field(lambda contact: contact.phone, _words),
    "firstNameLowerCase": Field(lambda contact: lowered(contact.first_name), _words),
    "lastNameLowerCase": Field(lambda contact: lowered(contact.last_name), _words),
    "companyName": Field(_text("company_name"), _words, folded=True),
    "website": Field(_text("website"), _words, folded=True),
    "address": Field(_text("address"), _words, folded=True),
    "city": Field(_text("city"), _words, folded=True),
    "state": Field(_text("state"), _words, folded=True),
    "postalCode": Field(_text("postal_code"), _words, folded=True),
    "country": Field(_text("country"), equality | presence, folded=True),
    "source": Field(_text("source"), _words, folded=True),
    "type": Field(_text("type"), equality | presence, folded=True),
    "tags": Field(lambda contact: contact.tags, _words, folded=True),
    "dnd": Field(lambda contact: contact.dnd, equality | presence),
    "assignedTo": Field(_extra("assignedTo"), equality | presence, folded=True),
    "businessName": Field(_extra("businessName"), _words, folded=True),
    "dateAdded": Field(lambda contact: contact.added, ranges | presence),
    "dateUpdated": Field(lambda contact: contact.updated, ranges | presence),
}


def field(name: str) -> Field | None:
    """None: no such filter, as for additional e-mails."""
    if name in _fixed:
        return _fixed[name]
    match name.split("."):
        case ["customFields", id]:
            return Field(_custom(id), operators, folded=True)
        case ["dndSettings", ("Call" | "Email" | "SMS" | "WhatsApp" | "GMB" | "FB") as channel, "status"]:
            return Field(_extra("dndSettings", channel, "status"), equality | presence, folded=True)
    return None
