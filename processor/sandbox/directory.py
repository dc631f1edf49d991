"""Hold the simulated locations, contacts, messages and tokens. GET sees a change at once, search and export after the index's lag."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal

from processor.sandbox.chatter import ActiveChatter
from processor.sandbox.churn import ActiveChurn
from processor.sandbox.contact_index import ContactIndex
from processor.sandbox.cursors import CursorChains, default_cursor_life_s
from processor.sandbox.message_history import MessageHistory
from processor.sandbox.stored_contact import StoredContact, contact_json, merge_contacts, parse_stored_contact
from processor.sandbox.stored_message import StoredMessage, parse_stored_message
from processor.sandbox.synthetic_contacts import ContactMix, id_from_bytes, synthetic_contacts
from processor.sandbox.synthetic_messages import synthetic_messages

default_token: Final = "sandbox"  # noqa: S105  # no secret: it opens a simulator
loaded_ms: Final = 1_767_225_600_000  # 2026-01-01: the time of a loaded contact that names none


TokenRefusal = Literal["expired", "revoked", "scope", "location"]


@dataclass(frozen=True, slots=True)
class LocationAccess:
    """List the only tokens that open a location, and name the refusal of all others."""

    tokens: frozenset[str]
    refusal: TokenRefusal = "expired"


@dataclass(slots=True)
class SimulatedLocation:
    id: str
    index: ContactIndex = field(default_factory=ContactIndex)
    history: MessageHistory = field(default_factory=MessageHistory)
    cursors: CursorChains = field(default_factory=CursorChains)
    raw_names: bool | None = None  # None, here and below: the directory's
    index_lag_s: float | None = None
    message_scope: bool | None = None
    cursor_life_s: float | None = None
    access: LocationAccess | None = None
    churn: ActiveChurn | None = None
    chatter: ActiveChatter | None = None
    # (visible from, id, contact or None: deleted)
    pending: deque[tuple[int, str, StoredContact | None]] = field(default_factory=deque)

    def apply_due(self, now: int) -> ContactIndex:
        """Apply the changes that search sees by now (µs), and return the index."""
        while self.pending and self.pending[0][0] <= now:
            _, id, contact = self.pending.popleft()
            if contact is None:
                self.index.drop(id)
            else:
                self.index.put(contact)
        return self.index


class Directory:
    """Times are integer microseconds since 1970. A location exists once it is named, with `auto_contacts` synthetic contacts.

    Contacts that were always there have `messages` SMS each on average. Messages stay when their contact is deleted or merged.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        auto_contacts: int = 0,
        mix: ContactMix | None = None,
        index_lag_s: float = 0.0,
        raw_names: bool = True,
        tokens: Mapping[str, str | None] | None = None,
        messages: float = 0.0,
    ) -> None:
        self.seed = seed
        self.auto_contacts = auto_contacts
        self.mix = mix
        self.index_lag_s = index_lag_s
        self.raw_names = raw_names
        self.messages = messages
        synthetic_messages("", "", messages)  # raises ValueError if the mean is out of range
        self.message_scope = True  # True if tokens may read messages
        self.cursor_life_s = default_cursor_life_s
        self.tokens: Mapping[str, str | None] = tokens or {default_token: None}  # None: serves every location
        self.access: LocationAccess | None = None  # of every location without an own access; None: `tokens` decides
        self.contacts: dict[str, StoredContact] = {}  # ids are unique over all locations
        self._locations: dict[str, SimulatedLocation] = {}
        self._deleted: dict[str, str] = {}  # contact → its location
        self._messages_made = 0

    def location(self, id: str) -> SimulatedLocation:
        found = self._locations.get(id)
        if found is None:
            found = self._locations[id] = SimulatedLocation(id)
            for contact in synthetic_contacts(id, self.auto_contacts, self.seed, self.mix):
                self.contacts[contact.id] = contact
                found.index.put(contact)
                found.history.load(contact.id, self._synthetic_messages(id, contact.id))
        return found

    def build_orders(self) -> None:
        """Sort now: else the first page of a scan of a million contacts takes 1.7 s."""
        for place in self._locations.values():
            place.index.ordered("dateAdded")
            place.index.ordered("dateUpdated")
            place.history.order("createdAt", "SMS")

    def search_view(self, location: str, now: int) -> ContactIndex:
        return self.location(location).apply_due(now)

    def shows_raw_names(self, location: str) -> bool:
        own = self.location(location).raw_names
        return self.raw_names if own is None else own

    def grants_messages(self, location: str) -> bool:
        own = self.location(location).message_scope
        return self.message_scope if own is None else own

    def cursor_life_of(self, location: str) -> float:
        own = self.location(location).cursor_life_s
        return self.cursor_life_s if own is None else own

    def access_to(self, location: str) -> LocationAccess | None:
        found = self._locations.get(location)
        return (found.access if found else None) or self.access

    def location_of(self, contact_id: str) -> str | None:
        """Return the location of a contact, also of a deleted one."""
        contact = self.contacts.get(contact_id)
        return contact.location if contact else self._deleted.get(contact_id)

    def add(self, location: str, contact: StoredContact | Mapping[str, Any], now: int | None = None) -> StoredContact:
        """Add a contact, also one in GET's shape; without an id it gets one. Without `now`, search sees it at once.

        Raise ValueError if the shape is wrong or another location has the id.
        """
        if not isinstance(contact, StoredContact):
            at_ms = loaded_ms if now is None else now // 1_000
            contact = parse_stored_contact(location, contact, at_ms, self._new_contact_id(location))
        if self.location_of(contact.id) not in (None, location) or contact.location != location:
            raise ValueError("contact: id: belongs to another location")
        if now is None and contact.id not in self.contacts:
            self.location(location).history.load(contact.id, self._synthetic_messages(location, contact.id))
        self._put(location, contact.id, contact, now)
        return contact

    def add_message(
        self, location: str, message: StoredMessage | Mapping[str, Any], now: int | None = None
    ) -> StoredMessage:
        """Add a message, also one in export's shape; it replaces the one with its id. Without `now`, export sees it at once.

        Raise ValueError if the shape is wrong.
        """
        if not isinstance(message, StoredMessage):
            self._messages_made += 1
            id = self._new_id(f"message {location} {self._messages_made}")
            at_ms = loaded_ms if now is None else now // 1_000
            message = parse_stored_message(location, message, at_ms, id)
        self.location(location).history.put(message, None if now is None else now + self._lag_us(location))
        return message

    def change(self, location: str, id: str, fields: Mapping[str, Any], now: int) -> StoredContact:
        """Replace the given fields of GET's shape (null: unknown) and keep the others. Add a contact if there is none.

        Raise ValueError if the shape is wrong or another location has the id.
        """
        current = self.contacts.get(id)
        if current is None:
            return self.add(location, {**fields, "id": id}, now)
        if current.location != location:
            raise ValueError("contact: id: belongs to another location")
        shown = contact_json(current)
        del shown["dateUpdated"], shown["customFields"]
        as_it_is = {**shown, "additionalPhones": current.additional_phones, **(current.extra or {})}
        changed = parse_stored_contact(location, {**as_it_is, **fields, "id": id}, now // 1_000, id)
        if not fields.get("dateUpdated"):
            changed = changed._replace(updated=now // 1_000)
        self._put(location, id, changed, now)
        return changed

    def delete(self, location: str, id: str, now: int) -> bool:
        """Delete a contact. Return True if there was one."""
        current = self.contacts.get(id)
        if current is None or current.location != location:
            return False
        self._put(location, id, None, now)
        return True

    def merge(self, location: str, id: str, into: str, now: int) -> StoredContact:
        """Delete a contact. The other one takes over the fields that it lacks, and the addresses beside its own.

        Raise ValueError if there are no two such contacts.
        """
        gone, current = self.contacts.get(id), self.contacts.get(into)
        if gone is None or current is None or id == into or {gone.location, current.location} != {location}:
            raise ValueError("merge: there are no two such contacts")
        changed = merge_contacts(current, gone)._replace(updated=now // 1_000)
        self._put(location, id, None, now)
        self._put(location, into, changed, now)
        return changed

    def _put(self, location: str, id: str, contact: StoredContact | None, now: int | None) -> None:
        place = self.location(location)
        if contact is None:
            del self.contacts[id]
            self._deleted[id] = location
        else:
            self.contacts[id] = contact
            self._deleted.pop(id, None)
        if now is None and contact is not None:
            place.index.put(contact)
            return
        visible_from = (now or 0) + self._lag_us(location)
        if place.pending:
            visible_from = max(visible_from, place.pending[-1][0])  # the index takes changes in their order
        place.pending.append((visible_from, id, contact))

    def _lag_us(self, location: str) -> int:
        own = self.location(location).index_lag_s
        return round((self.index_lag_s if own is None else own) * 1e6)

    def _synthetic_messages(self, location: str, contact: str) -> list[StoredMessage]:
        return synthetic_messages(location, contact, self.messages, self.seed)

    def _new_contact_id(self, location: str) -> str:
        return self._new_id(f"{location} {len(self.contacts)} {len(self._deleted)}")

    def _new_id(self, of: str) -> str:
        return id_from_bytes(blake2b(f"{self.seed} {of}".encode(), digest_size=20).digest())
