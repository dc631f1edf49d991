"""Keep the messages of one location that export sees, all of them and those of each contact, in order.

A page costs the same anywhere in an order.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Final, Literal

from processor.sandbox.stored_message import MessageChannel, StoredMessage, is_exported

SortField = Literal["createdAt", "updatedAt"]
MessageKey = tuple[int, str]  # ms since 1970, and the id, which orders messages of one millisecond

message_keys: Final[dict[SortField, Callable[[StoredMessage], MessageKey]]] = {
    "createdAt": attrgetter("added", "id"),
    "updatedAt": attrgetter("updated", "id"),
}
message_times: Final[dict[SortField, Callable[[StoredMessage], int]]] = {
    "createdAt": attrgetter("added"),
    "updatedAt": attrgetter("updated"),
}


class MessageHistory:
    def __init__(self) -> None:
        self._by_id: dict[str, StoredMessage] = {}
        self._by_contact: dict[str, list[StoredMessage]] = {}  # each by createdAt
        self._contact_of: dict[str, str] = {}  # conversation → contact
        self._orders: dict[
            tuple[SortField, MessageChannel | None], list[StoredMessage]
        ] = {}  # made when first asked for
        self._pending: deque[tuple[int, StoredMessage]] = deque()  # (visible from, µs)

    def __iter__(self) -> Iterator[StoredMessage]:
        """Yield all messages, also those that export doesn't see yet or never will; a changed message both before and after."""
        yield from self._by_id.values()
        yield from (message for _, message in self._pending)

    def put(self, message: StoredMessage, visible_from: int | None = None) -> None:
        """Add a message, or replace the one with its id. It is visible at once if `visible_from` is None."""
        if visible_from is None:
            self._put(message)
            return
        self._pending.append((visible_from, message))

    def load(self, contact: str, messages: list[StoredMessage]) -> None:
        """Add the messages, in order, that a contact without any always had."""
        if messages and contact not in self._by_contact and not self._orders:
            self._by_contact[contact] = messages
            self._by_id.update((message.id, message) for message in messages)
            self._contact_of.setdefault(messages[0].conversation, contact)
        else:
            for message in messages:
                self._put(message)

    def apply_due(self, now: int) -> "MessageHistory":
        """Apply the changes that export sees by now (µs). A change waits for those before it."""
        while self._pending and self._pending[0][0] <= now:
            self._put(self._pending.popleft()[1])
        return self

    def order(
        self,
        field: SortField,
        channel: MessageChannel | None,
        contact: str | None = None,
        conversation: str | None = None,
    ) -> Sequence[StoredMessage]:
        """Return messages, ascending by the field and then by id: of the location, a contact or a conversation."""
        if contact is None and conversation is None:
            return self._order(field, channel)
        owner = self._contact_of.get(conversation, "") if conversation is not None else contact
        if contact not in (None, owner):
            return ()
        found = [
            message
            for message in self._by_contact.get(owner or "", ())
            if conversation in (None, message.conversation) and is_exported(message.type, channel)
        ]
        return found if field == "createdAt" else sorted(found, key=message_keys[field])

    def _order(self, field: SortField, channel: MessageChannel | None) -> list[StoredMessage]:
        order = self._orders.get((field, channel))
        if order is None:
            found = (message for message in self._by_id.values() if is_exported(message.type, channel))
            order = self._orders[field, channel] = sorted(found, key=message_keys[field])
        return order

    def _put(self, message: StoredMessage) -> None:
        previous = self._by_id.get(message.id)
        if previous is not None:
            _drop(self._by_contact[previous.contact], previous, "createdAt")
        self._by_id[message.id] = message
        insort(self._by_contact.setdefault(message.contact, []), message, key=message_keys["createdAt"])
        self._contact_of.setdefault(message.conversation, message.contact)
        for (field, channel), order in self._orders.items():
            if previous is not None and is_exported(previous.type, channel):
                _drop(order, previous, field)
            if is_exported(message.type, channel):
                insort(order, message, key=message_keys[field])


def time_range(
    order: Sequence[StoredMessage], field: SortField, first: int | None, last: int | None
) -> tuple[int, int]:
    """Return begin and end, in their order, of the messages whose time lies in [first, last], ms."""
    begin = 0 if first is None else bisect_left(order, first, key=message_times[field])
    return begin, max(begin, len(order) if last is None else bisect_right(order, last, key=message_times[field]))


def _drop(order: list[StoredMessage], message: StoredMessage, field: SortField) -> None:
    key = message_keys[field]
    del order[bisect_left(order, key(message), key=key)]
