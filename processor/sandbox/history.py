"""What export sees of one location: its messages, all of them and those of each contact, in order. A page costs the same anywhere."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Final, Literal

from processor.sandbox.messages import Channel, Message, exported

Field = Literal["createdAt", "updatedAt"]
Key = tuple[int, str]  # ms since 1970, and the id, which tells messages of one millisecond apart

keys: Final[dict[Field, Callable[[Message], Key]]] = {
    "createdAt": attrgetter("added", "id"),
    "updatedAt": attrgetter("updated", "id"),
}
times: Final[dict[Field, Callable[[Message], int]]] = {
    "createdAt": attrgetter("added"),
    "updatedAt": attrgetter("updated"),
}


class History:
    def __init__(self) -> None:
        self._by_id: dict[str, Message] = {}
        self._by_contact: dict[str, list[Message]] = {}  # each by createdAt
        self._whose: dict[str, str] = {}  # conversation → contact
        self._orders: dict[tuple[Field, Channel | None], list[Message]] = {}  # made when first asked for
        self._pending: deque[tuple[int, Message]] = deque()  # (seen from, µs)

    def __iter__(self) -> Iterator[Message]:
        """Also those that export doesn't see yet, and never will; of one that changed, before and after."""
        yield from self._by_id.values()
        yield from (message for _, message in self._pending)

    def put(self, message: Message, seen_from: int | None = None) -> None:
        """Instead of the one with its id, if there is one; None: it was always there."""
        if seen_from is None:
            self._put(message)
            return
        self._pending.append((seen_from, message))

    def load(self, contact: str, said: list[Message]) -> None:
        """The messages, in order, that a contact without any always had."""
        if said and contact not in self._by_contact and not self._orders:
            self._by_contact[contact] = said
            self._by_id.update((message.id, message) for message in said)
            self._whose.setdefault(said[0].conversation, contact)
        else:
            for message in said:
                self._put(message)

    def settle(self, now: int) -> "History":
        """As export sees it now (µs). The index takes changes in their order: one waits for those before it."""
        while self._pending and self._pending[0][0] <= now:
            self._put(self._pending.popleft()[1])
        return self

    def order(
        self, field: Field, channel: Channel | None, contact: str | None = None, conversation: str | None = None
    ) -> Sequence[Message]:
        """Ascending by the field and then by id: the location's, or of a contact, of a conversation."""
        if contact is None and conversation is None:
            return self._order(field, channel)
        whose = self._whose.get(conversation, "") if conversation is not None else contact
        if contact not in (None, whose):
            return ()
        found = [
            message
            for message in self._by_contact.get(whose or "", ())
            if conversation in (None, message.conversation) and exported(message.type, channel)
        ]
        return found if field == "createdAt" else sorted(found, key=keys[field])

    def _order(self, field: Field, channel: Channel | None) -> list[Message]:
        order = self._orders.get((field, channel))
        if order is None:
            found = (message for message in self._by_id.values() if exported(message.type, channel))
            order = self._orders[field, channel] = sorted(found, key=keys[field])
        return order

    def _put(self, message: Message) -> None:
        held = self._by_id.get(message.id)
        if held is not None:
            _drop(self._by_contact[held.contact], held, "createdAt")
        self._by_id[message.id] = message
        insort(self._by_contact.setdefault(message.contact, []), message, key=keys["createdAt"])
        self._whose.setdefault(message.conversation, message.contact)
        for (field, channel), order in self._orders.items():
            if held is not None and exported(held.type, channel):
                _drop(order, held, field)
            if exported(message.type, channel):
                insort(order, message, key=keys[field])


def stretch(order: Sequence[Message], field: Field, first: int | None, last: int | None) -> tuple[int, int]:
    """Where in their order the messages lie whose time is in [first, last], ms."""
    begin = 0 if first is None else bisect_left(order, first, key=times[field])
    return begin, max(begin, len(order) if last is None else bisect_right(order, last, key=times[field]))


def _drop(order: list[Message], message: Message, field: Field) -> None:
    key = keys[field]
    del order[bisect_left(order, key(message), key=key)]
