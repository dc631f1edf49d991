"""Index the contacts of one location that search sees: by id, e-mail and phone, and in order.

A search for one contact never scans 100,000.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, Final

from processor.sandbox.stored_contact import StoredContact

SortValue = Any  # int, str or bool, and of one type within a column: so they compare
ContactKey = tuple[SortValue, str]


def _extra(name: str) -> Callable[[StoredContact], str]:
    return lambda contact: str((contact.extra or {}).get(name) or "")


sort_values: Final[dict[str, Callable[[StoredContact], SortValue]]] = {
    "dateAdded": lambda contact: contact.added,
    "dateUpdated": lambda contact: contact.updated,
    "email": lambda contact: (contact.email or "").lower(),
    "firstNameLowerCase": lambda contact: (contact.first_name or "").lower(),
    "lastNameLowerCase": lambda contact: (contact.last_name or "").lower(),
    "businessName": _extra("businessName"),
    "source": lambda contact: contact.source or "",
    "dnd": lambda contact: contact.dnd,
}  # contract.md §4.1; an unknown value sorts as the smallest


class ContactLookup:
    """Find contacts by a text that few of them share. It holds a lone contact itself, several contacts by id."""

    def __init__(self) -> None:
        self._table: dict[str, StoredContact | dict[str, StoredContact]] = {}

    def find(self, text: str) -> Collection[StoredContact]:
        found = self._table.get(text)
        if found is None:
            return ()
        return (found,) if isinstance(found, StoredContact) else found.values()

    def put(self, text: str, contact: StoredContact) -> None:
        found = self._table.get(text)
        if found is None:
            self._table[text] = contact
        elif isinstance(found, StoredContact):
            self._table[text] = {found.id: found, contact.id: contact}
        else:
            found[contact.id] = contact

    def drop(self, text: str, contact: StoredContact) -> None:
        found = self._table[text]
        if isinstance(found, StoredContact) or len(found) == 1:
            del self._table[text]
        else:
            del found[contact.id]


class ContactIndex:
    def __init__(self) -> None:
        self.by_id: dict[str, StoredContact] = {}
        self.by_email = ContactLookup()  # in lower case
        self.by_phone = ContactLookup()
        self._orders: dict[str, list[StoredContact]] = {}  # by field, ascending, made when first asked for
        self._last: tuple[Hashable, Sequence[StoredContact]] | None = (
            None  # a search's matches, until a contact changes
        )

    def __len__(self) -> int:
        return len(self.by_id)

    def put(self, contact: StoredContact) -> None:
        self.drop(contact.id)
        self._last = None
        self.by_id[contact.id] = contact
        if contact.email:
            self.by_email.put(contact.email.lower(), contact)
        if contact.phone:
            self.by_phone.put(contact.phone, contact)
        for field, order in self._orders.items():
            insort(order, contact, key=contact_key(field))

    def drop(self, id: str) -> None:
        contact = self.by_id.pop(id, None)
        if contact is None:
            return
        self._last = None
        if contact.email:
            self.by_email.drop(contact.email.lower(), contact)
        if contact.phone:
            self.by_phone.drop(contact.phone, contact)
        for field, order in self._orders.items():
            key = contact_key(field)
            del order[bisect_left(order, key(contact), key=key)]

    def ordered(self, field: str) -> Sequence[StoredContact]:
        """Return all contacts, ascending by the field and then by id."""
        order = self._orders.get(field)
        if order is None:
            order = self._orders[field] = sorted(self.by_id.values(), key=contact_key(field))
        return order

    def range_of(self, field: str, first: float, last: float) -> tuple[int, int]:
        """Return begin and end, in the field's order, of the contacts whose time lies in [first, last], ms."""
        order, read = self.ordered(field), sort_values[field]
        return bisect_left(order, first, key=read), bisect_right(order, last, key=read)

    def between(self, field: str, first: float, last: float) -> Sequence[StoredContact]:
        """Return the contacts whose time lies in [first, last], ms."""
        return self.ordered(field)[slice(*self.range_of(field, first, last))]

    def matches(self, query: Hashable, find: Callable[[], Sequence[StoredContact]]) -> Sequence[StoredContact]:
        """Return the matches of a query, found anew only if the query or a contact has changed: its pages are sorted once."""
        if self._last is None or self._last[0] != query:
            self._last = query, find()
        return self._last[1]


def contact_key(field: str) -> Callable[[StoredContact], ContactKey]:
    read = sort_values[field]
    return lambda contact: (read(contact), contact.id)


def sort_contacts(contacts: Iterable[StoredContact], sort: Sequence[tuple[str, bool]]) -> list[StoredContact]:
    """Sort by several (field, descending), then by id in the direction of the last field."""
    last, descending = sort[-1]
    found = sorted(contacts, key=contact_key(last), reverse=descending)
    for field, descending in reversed(sort[:-1]):
        found.sort(key=sort_values[field], reverse=descending)
    return found


def compare_cursors(left: Sequence[Any], right: Sequence[Any], sort: Sequence[tuple[str, bool]]) -> int:
    """Return −1, 0 or 1 if a cursor comes before, at or after another one. Values of one column have one type."""
    directions = [descending for _, descending in sort]
    for mine, other, descending in zip(left, right, [*directions, directions[-1]], strict=True):
        if mine != other:
            return -1 if (mine < other) != descending else 1
    return 0
