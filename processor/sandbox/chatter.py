"""Add messages while a client exports: after each page come new, late and tied messages, and some change their status.

The messages follow from the seed, and each is recorded. Time is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    """The number of messages that come after each page, by kind. Raises ValueError for a number out of range."""

    new: int = 0  # of now
    late: int = 0  # of up to `late_by_s` ago
    tied: int = 0  # of the newest message's millisecond, of another contact if there is one
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


@dataclass(slots=True)
class ActiveChatter:
    """A location's chatter and the messages that it has added so far."""

    chatter: Chatter
    draw: Random
    pages: int = 0
    added: list[AddedMessage] = field(default_factory=list)


def set_chatter(directory: "Directory", location: str, chatter: Chatter | None) -> None:
    """Start chatter with an empty record, or stop it and keep the record if `chatter` is None."""
    place = directory.location(location)
    if chatter is not None:
        place.chatter = ActiveChatter(chatter, Random(f"{directory.seed} chatter {location}"))
    elif place.chatter is not None:
        place.chatter.chatter = Chatter()


def chatter_after_export(directory: "Directory", location: str, now: int) -> None:
    active = directory.location(location).chatter
    if active is None:
        return
    active.pages += 1
    for kind, compose in chatter_kinds.items():
        for _ in range(getattr(active.chatter, kind)):
            if len(active.added) >= max_chatter_messages:
                return
            if composed := compose(directory, location, active, now):
                message = directory.add_message(location, composed, now)
                active.added.append(AddedMessage(now, active.pages, kind, message))


ComposedMessage = (
    StoredMessage | Mapping[str, Any] | None
)  # the mapping has export's shape; None: no contact to send it
ChatterKind = Callable[["Directory", str, ActiveChatter, int], ComposedMessage]


def _new(directory: "Directory", location: str, active: ActiveChatter, now: int) -> ComposedMessage:
    return _compose(directory, location, active, now // 1_000)


def _late(directory: "Directory", location: str, active: ActiveChatter, now: int) -> ComposedMessage:
    ago_ms = int(active.draw.random() * active.chatter.late_by_s * 1_000)
    return _compose(directory, location, active, now // 1_000 - ago_ms)


def _tied(directory: "Directory", location: str, active: ActiveChatter, now: int) -> ComposedMessage:
    order = directory.location(location).history.order("createdAt", "SMS")
    return _compose(directory, location, active, order[-1].added, order[-1].contact) if order else None


def _status(directory: "Directory", location: str, active: ActiveChatter, now: int) -> ComposedMessage:
    if not active.added:
        return None
    message = active.draw.choice(active.added).message
    return message._replace(status="failed", updated=now // 1_000, extra=failed_delivery)


chatter_kinds: Final[Mapping[str, ChatterKind]] = {"new": _new, "late": _late, "tied": _tied, "status": _status}


def _compose(
    directory: "Directory", location: str, active: ActiveChatter, at_ms: int, avoid: str | None = None
) -> ComposedMessage:
    """Return a message of a random contact that search shows, rarely of the one to avoid. Return None if there is no contact."""
    order = directory.location(location).index.ordered("dateAdded")
    if not order:
        return None
    contact = active.draw.choice(order).id
    if contact == avoid:
        contact = active.draw.choice(order).id
    return {"contactId": contact, "dateAdded": iso_time(at_ms), "body": f"chatter {len(active.added)}"}
