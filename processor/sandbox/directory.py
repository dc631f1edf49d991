"""The world's locations, contacts, messages and tokens. GET sees a change at once, search and export after the index's lag."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal

from processor.sandbox import conversations
from processor.sandbox.chatter import Chattering
from processor.sandbox.churn import Churning
from processor.sandbox.contacts import Mix, identifier, synthetic
from processor.sandbox.cursors import Chains, usual_life_s
from processor.sandbox.history import History
from processor.sandbox.index import Index
from processor.sandbox.messages import Message
from processor.sandbox.messages import parse as parse_message
from processor.sandbox.shapes import Contact, full, merged, parse

usual_token: Final = "sandbox"  # noqa: S105  # no secret: it opens a simulator
loaded_ms: Final = (
    1_767_225_600_000  # 2026-01-01: the age of a contact that was there before the world began and names none
)


Refusal = Literal["expired", "revoked", "scope", "location"]


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens that open a location, whatever else the world knows, and how every other one is refused."""

    tokens: frozenset[str]
    refusal: Refusal = "expired"


@dataclass(slots=True)
class Location:
    id: str
    index: Index = field(default_factory=Index)
    history: History = field(default_factory=History)
    chains: Chains = field(default_factory=Chains)
    raw_names: bool | None = None  # None: as the directory
    index_lag_s: float | None = None
    message_scope: bool | None = None
    cursor_life_s: float | None = None
    access: "Access | None" = None
    churning: Churning | None = None
    chattering: Chattering | None = None
    pending: "deque[tuple[int, str, Contact | None]]" = field(default_factory=deque)  # (seen from, id, None: deleted)

    def settle(self, now: int) -> Index:
        """The index as search sees it now (µs)."""
        while self.pending and self.pending[0][0] <= now:
            _, id, contact = self.pending.popleft()
            if contact is None:
                self.index.drop(id)
            else:
                self.index.put(contact)
        return self.index


class Directory:
    """Times are integer microseconds since 1970. A location exists once it is named, with `auto_contacts` synthetic contacts.

    Contacts that were always there have `messages` SMS each on average. What was said stays when its contact goes or is merged.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        auto_contacts: int = 0,
        mix: Mix | None = None,
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
        conversations.synthetic("", "", messages)  # ValueError: out of range
        self.message_scope = True  # whether tokens may read messages
        self.cursor_life_s = usual_life_s
        self.tokens: Mapping[str, str | None] = tokens or {usual_token: None}  # None: serves every location
        self.access: Access | None = None  # of every location that has none of its own; None: `tokens` says it all
        self.contacts: dict[str, Contact] = {}  # ids are unique over all locations
        self._locations: dict[str, Location] = {}
        self._deleted: dict[str, str] = {}  # contact → its location
        self._messages_made = 0

    def location(self, id: str) -> Location:
        found = self._locations.get(id)
        if found is None:
            found = self._locations[id] = Location(id)
            for contact in synthetic(id, self.auto_contacts, self.seed, self.mix):
                self.contacts[contact.id] = contact
                found.index.put(contact)
                found.history.load(contact.id, self._said(id, contact.id))
        return found

    def put_in_order(self) -> None:
        """What a scan of all contacts needs: else its first page takes 1.7 s of a million contacts."""
        for place in self._locations.values():
            place.index.ordered("dateAdded")
            place.index.ordered("dateUpdated")
            place.history.order("createdAt", "SMS")

    def search_view(self, location: str, now: int) -> Index:
        return self.location(location).settle(now)

    def shows_raw_names(self, location: str) -> bool:
        own = self.location(location).raw_names
        return self.raw_names if own is None else own

    def grants_messages(self, location: str) -> bool:
        own = self.location(location).message_scope
        return self.message_scope if own is None else own

    def cursor_life_of(self, location: str) -> float:
        own = self.location(location).cursor_life_s
        return self.cursor_life_s if own is None else own

    def access_to(self, location: str) -> Access | None:
        found = self._locations.get(location)
        return (found.access if found else None) or self.access

    def whose(self, contact_id: str) -> str | None:
        """The location of a contact, also of a deleted one."""
        contact = self.contacts.get(contact_id)
        return contact.location if contact else self._deleted.get(contact_id)

    def add(self, location: str, contact: Contact | Mapping[str, Any], now: int | None = None) -> Contact:
        """A contact, or one in GET's shape; without an id it gets one. Without `now` it was always there: search sees it at once.

        ValueError: the shape is wrong, or another location has the id.
        """
        if not isinstance(contact, Contact):
            at_ms = loaded_ms if now is None else now // 1_000
            contact = parse(location, contact, at_ms, self._fresh_id(location))
        if self.whose(contact.id) not in (None, location) or contact.location != location:
            raise ValueError("contact: id: belongs to another location")
        if now is None and contact.id not in self.contacts:
            self.location(location).history.load(contact.id, self._said(location, contact.id))
        self._put(location, contact.id, contact, now)
        return contact

    def say(self, location: str, message: Message | Mapping[str, Any], now: int | None = None) -> Message:
        """A message, or one in export's shape; it takes the place of the one with its id. Without `now` it was always there.

        ValueError: the shape is wrong.
        """
        if not isinstance(message, Message):
            self._messages_made += 1
            drawn = blake2b(f"{self.seed} message {location} {self._messages_made}".encode(), digest_size=20)
            at_ms = loaded_ms if now is None else now // 1_000
            message = parse_message(location, message, at_ms, identifier(drawn.digest()))
        self.location(location).history.put(message, None if now is None else now + self._lag_us(location))
        return message

    def change(self, location: str, id: str, fields: Mapping[str, Any], now: int) -> Contact:
        """The given fields of GET's shape are replaced (null: unknown), the others stay; a new contact where there was none."""
        held = self.contacts.get(id)
        if held is None:
            return self.add(location, {**fields, "id": id}, now)
        if held.location != location:
            raise ValueError("contact: id: belongs to another location")
        shown = {name: value for name, value in full(held).items() if name not in ("dateUpdated", "customFields")}
        as_it_is = {**shown, "additionalPhones": held.additional_phones, **(held.extra or {})}
        changed = parse(location, {**as_it_is, **fields, "id": id}, now // 1_000, id)
        if not fields.get("dateUpdated"):
            changed = changed._replace(updated=now // 1_000)
        self._put(location, id, changed, now)
        return changed

    def delete(self, location: str, id: str, now: int) -> bool:
        """Whether there was such a contact."""
        held = self.contacts.get(id)
        if held is None or held.location != location:
            return False
        self._put(location, id, None, now)
        return True

    def merge(self, location: str, id: str, into: str, now: int) -> Contact:
        """One contact goes, another one takes over what it lacks itself, and the addresses beside its own.

        ValueError: there are no two such contacts.
        """
        gone, held = self.contacts.get(id), self.contacts.get(into)
        if gone is None or held is None or id == into or {gone.location, held.location} != {location}:
            raise ValueError("merge: there are no two such contacts")
        changed = merged(held, gone)._replace(updated=now // 1_000)
        self._put(location, id, None, now)
        self._put(location, into, changed, now)
        return changed

    def _put(self, location: str, id: str, contact: Contact | None, now: int | None) -> None:
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
        seen_from = (now or 0) + self._lag_us(location)
        if place.pending:
            seen_from = max(seen_from, place.pending[-1][0])  # the index takes changes in their order
        place.pending.append((seen_from, id, contact))

    def _lag_us(self, location: str) -> int:
        own = self.location(location).index_lag_s
        return round((self.index_lag_s if own is None else own) * 1e6)

    def _said(self, location: str, contact: str) -> list[Message]:
        return conversations.synthetic(location, contact, self.messages, self.seed)

    def _fresh_id(self, location: str) -> str:
        drawn = blake2b(f"{self.seed} {location} {len(self.contacts)} {len(self._deleted)}".encode(), digest_size=20)
        return identifier(drawn.digest())
