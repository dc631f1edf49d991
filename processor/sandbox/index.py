"""What search sees of one location: its contacts by id, e-mail and phone, and in order. 100,000 of them are never scanned for one."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, Final

from processor.sandbox.shapes import Contact

Value = Any  # int, str or bool, and of one type within a column: so they compare
Key = tuple[Value, str]


def _extra(name: str) -> Callable[[Contact], str]:
    return lambda contact: str((contact.extra or {}).get(name) or "")


sortable: Final[dict[str, Callable[[Contact], Value]]] = {
    "dateAdded": lambda contact: contact.added,
    "dateUpdated": lambda contact: contact.updated,
    "email": lambda contact: (contact.email or "").lower(),
    "firstNameLowerCase": lambda contact: (contact.first_name or "").lower(),
    "lastNameLowerCase": lambda contact: (contact.last_name or "").lower(),
    "businessName": _extra("businessName"),
    "source": lambda contact: contact.source or "",
    "dnd": lambda contact: contact.dnd,
}  # contract.md §4.1; what is unknown sorts as the smallest


class Lookup:
    """Contacts by a text that few of them share: the contact itself, or the several that do by id."""

    def __init__(self) -> None:
        self._table: dict[str, Contact | dict[str, Contact]] = {}

    def find(self, text: str) -> Collection[Contact]:
        found = self._table.get(text)
        if found is None:
            return ()
        return (found,) if isinstance(found, Contact) else found.values()

    def put(self, text: str, contact: Contact) -> None:
        found = self._table.get(text)
        if found is None:
            self._table[text] = contact
        elif isinstance(found, Contact):
            self._table[text] = {found.id: found, contact.id: contact}
        else:
            found[contact.id] = contact

    def drop(self, text: str, contact: Contact) -> None:
        found = self._table[text]
        if isinstance(found, Contact) or len(found) == 1:
            del self._table[text]
        else:
            del found[contact.id]


class Index:
    def __init__(self) -> None:
        self.by_id: dict[str, Contact] = {}
        self.by_email = Lookup()  # in lower case
        self.by_phone = Lookup()
        self._orders: dict[str, list[Contact]] = {}  # by field, ascending, made when first asked for
        self._last: tuple[Hashable, Sequence[Contact]] | None = None  # a search's matches, until a contact changes

    def __len__(self) -> int:
        return len(self.by_id)

    def put(self, contact: Contact) -> None:
        self.drop(contact.id)
        self._last = None
        self.by_id[contact.id] = contact
        if contact.email:
            self.by_email.put(contact.email.lower(), contact)
        if contact.phone:
            self.by_phone.put(contact.phone, contact)
        for field, order in self._orders.items():
            insort(order, contact, key=key_of(field))

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
            key = key_of(field)
            del order[bisect_left(order, key(contact), key=key)]

    def ordered(self, field: str) -> Sequence[Contact]:
        """All contacts, ascending by the field and then by id."""
        order = self._orders.get(field)
        if order is None:
            order = self._orders[field] = sorted(self.by_id.values(), key=key_of(field))
        return order

    def stretch(self, field: str, first: float, last: float) -> tuple[int, int]:
        """Where in their order the contacts lie whose time is in [first, last], ms."""
        order, read = self.ordered(field), sortable[field]
        return bisect_left(order, first, key=read), bisect_right(order, last, key=read)

    def between(self, field: str, first: float, last: float) -> Sequence[Contact]:
        """Contacts whose time lies in [first, last], ms."""
        return self.ordered(field)[slice(*self.stretch(field, first, last))]

    def matches(self, of: Hashable, find: Callable[[], Sequence[Contact]]) -> Sequence[Contact]:
        """What was found last, where the same is asked for and no contact has changed: the pages of a search are sorted once."""
        if self._last is None or self._last[0] != of:
            self._last = of, find()
        return self._last[1]


def key_of(field: str) -> Callable[[Contact], Key]:
    read = sortable[field]
    return lambda contact: (read(contact), contact.id)


def ranked(contacts: Iterable[Contact], sort: Sequence[tuple[str, bool]]) -> list[Contact]:
    """In the order of several (field, descending), ids last and in the direction of the last field."""
    last, descending = sort[-1]
    found = sorted(contacts, key=key_of(last), reverse=descending)
    for field, descending in reversed(sort[:-1]):
        found.sort(key=sortable[field], reverse=descending)
    return found


def before(left: Sequence[Any], right: Sequence[Any], sort: Sequence[tuple[str, bool]]) -> int:
    """Whether a cursor comes before (−1), at (0) or after (1) another one; values of one column are of one type."""
    directions = [descending for _, descending in sort]
    for mine, other, descending in zip(left, right, [*directions, directions[-1]], strict=True):
        if mine != other:
            return -1 if (mine < other) != descending else 1
    return 0
