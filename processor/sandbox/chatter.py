"""Add messages while a client exports: after each page come new, late and tied messages, and some change their status.

The messages follow from the seed, and each is recorded. Time is an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from processor.sandbox.json_values import is_whole, iso_time
from processor.sandbox.stored_message import StoredMessage, message_json
from processor.sandbox.synthetic_messages import failed_delivery

if TYPE_CHECKING:
    from processor.sandbox.directory import Directory

max_chatter_per_page: Final = 1_000  # of each kind
max_late_by_s: Final = 86_400
max_chatter_messages: Final = 100_000  # then chatter stops: its messages are kept in memory


@dataclass(frozen=True, slots=True)
class Chatter:
    """Set the number of messages that come after each page, by kind. Raise ValueError for a number out of range."""

    new: int = 0  # of now
    late: int = 0  # of up to `late_by_s` ago
    tied: int = 0  # in the newest message's millisecond, of another contact if possible
    status: int = 0  # an earlier message of chatter becomes `failed`
    late_by_s: int = 540  # within the ten minutes that a checkpoint's overlap covers

    def __post_init__(self) -> None:
        for name in self.__slots__:
            most = max_late_by_s if name == "late_by_s" else max_chatter_per_page
            if not is_whole(getattr(self, name), 0, most):
                raise ValueError(f"chatter: {name}: not a whole number from 0 to {most}")


@dataclass(frozen=True, slots=True)
class AddedMessage:
    at: int  # µs since 1970
    page: int  # number of the page before it, from 1
    kind: str
    message: StoredMessage

    def as_json(self) -> dict[str, Any]:  # a JSON object
        return {"at_ms": self.at / 1_000, "page": self.page, "kind": self.kind, "message": message_json(self.message)}


class ActiveChatter:
    """Add messages to a location, and record them."""

    def __init__(self, directory: "Directory", location: str, chatter: Chatter) -> None:
        self.chatter = chatter
        self.pages = 0
        self.added: list[AddedMessage] = []
        self._directory = directory
        self._location = location
        self._draw = Random(f"{directory.seed} chatter {location}")

    def after_export(self, now: int) -> None:
        self.pages += 1
        for kind in ("new", "late", "tied", "status"):
            for _ in range(getattr(self.chatter, kind)):
                if len(self.added) >= max_chatter_messages:
                    return
                if composed := self._compose(kind, now // 1_000):
                    message = self._directory.add_message(self._location, composed, now)
                    self.added.append(AddedMessage(now, self.pages, kind, message))

    def _compose(self, kind: str, now_ms: int) -> StoredMessage | Mapping[str, Any] | None:
        """Return a message, or its fields in export's shape. Return None if there is no contact, or no message to change."""
        if kind == "status":
            if not self.added:
                return None
            message = self._draw.choice(self.added).message
            return message._replace(status="failed", updated=now_ms, extra=failed_delivery)
        if kind == "late":
            return self._compose_at(now_ms - int(self._draw.random() * self.chatter.late_by_s * 1_000))
        if kind == "tied":
            order = self._directory.location(self._location).history.order("createdAt", "SMS")
            return self._compose_at(order[-1].added, avoid=order[-1].contact) if order else None
        return self._compose_at(now_ms)

    def _compose_at(self, at_ms: int, avoid: str | None = None) -> Mapping[str, Any] | None:
        """Return a message of a random contact that search shows, rarely of the one to avoid. Return None without contacts."""
        contacts = self._directory.location(self._location).index.ordered("dateAdded")
        if not contacts:
            return None
        contact = self._draw.choice(contacts).id
        if contact == avoid:
            contact = self._draw.choice(contacts).id
        return {"contactId": contact, "dateAdded": iso_time(at_ms), "body": f"chatter {len(self.added)}"}


def set_chatter(directory: "Directory", location: str, chatter: Chatter | None) -> None:
    """Start chatter with an empty record, or stop it and keep the record if `chatter` is None."""
    place = directory.location(location)
    if chatter is not None:
        place.chatter = ActiveChatter(directory, location, chatter)
    elif place.chatter is not None:
        place.chatter.chatter = Chatter()
