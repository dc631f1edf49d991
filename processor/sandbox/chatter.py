"""Messages that come while they are exported: after each page answered some are new, late, tied, or get another status.

Seeded, and recorded, so that a judge knows what was said when. Pure: time is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import TYPE_CHECKING, Any, Final

from processor.sandbox.conversations import failure
from processor.sandbox.messages import Message, full
from processor.sandbox.shapes import iso

if TYPE_CHECKING:
    from processor.sandbox.directory import Directory

at_most: Final = 1_000  # of each kind, after one page
late_at_most_s: Final = 86_400
sayings_at_most: Final = 100_000  # then there is silence: the record is kept in memory


@dataclass(frozen=True, slots=True)
class Chatter:
    """How many messages of a location, after each page. ValueError: out of range."""

    new: int = 0  # of now
    late: int = 0  # of up to `late_by_s` ago
    tied: int = 0  # of the same millisecond as the newest one, of another contact if there is one
    status: int = 0  # of those that chatter brought: failed in the end
    late_by_s: int = 540  # within the ten minutes that a checkpoint's overlap is good for

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, most = getattr(self, name), late_at_most_s if name == "late_by_s" else at_most
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
                raise ValueError(f"chatter: {name}: not a whole number from 0 to {most}")


def parse(given: Any) -> Chatter:  # any JSON
    """ValueError says what is wrong."""
    if not isinstance(given, dict):
        raise ValueError("chatter: not an object")
    if unknown := given.keys() - {one.name for one in fields(Chatter)}:
        raise ValueError(f"chatter: {min(unknown)}: unknown")
    return Chatter(**given)


@dataclass(frozen=True, slots=True)
class Saying:
    at: int  # µs since 1970
    page: int  # after which one it came, from 1
    kind: str
    message: Message

    def as_json(self) -> dict[str, Any]:  # a JSON object
        return {"at_ms": self.at / 1_000, "page": self.page, "kind": self.kind, "message": full(self.message)}


@dataclass(slots=True)
class Chattering:
    """A location's chatter under way, and its record."""

    chatter: Chatter
    draw: Random
    pages: int = 0
    sayings: list[Saying] = field(default_factory=list)


def begin(directory: "Directory", location: str, chatter: Chatter | None) -> None:
    """With a new record; None: there is silence, and the record stays."""
    place = directory.location(location)
    if chatter is not None:
        place.chattering = Chattering(chatter, Random(f"{directory.seed} chatter {location}"))
    elif place.chattering is not None:
        place.chattering.chatter = Chatter()


def after_export(directory: "Directory", location: str, now: int) -> None:
    chattering = directory.location(location).chattering
    if chattering is None:
        return
    chattering.pages += 1
    for kind, shape in kinds.items():
        for _ in range(getattr(chattering.chatter, kind)):
            if len(chattering.sayings) >= sayings_at_most:
                return
            if said := shape(directory, location, chattering, now):
                message = directory.say(location, said, now)
                chattering.sayings.append(Saying(now, chattering.pages, kind, message))


Said = Message | Mapping[str, Any] | None  # a message, or one in export's shape; None: there is nobody to say it
Kind = Callable[["Directory", str, Chattering, int], Said]


def _new(directory: "Directory", location: str, chattering: Chattering, now: int) -> Said:
    return _said(directory, location, chattering, now // 1_000)


def _late(directory: "Directory", location: str, chattering: Chattering, now: int) -> Said:
    ago_ms = int(chattering.draw.random() * chattering.chatter.late_by_s * 1_000)
    return _said(directory, location, chattering, now // 1_000 - ago_ms)


def _tied(directory: "Directory", location: str, chattering: Chattering, now: int) -> Said:
    order = directory.location(location).history.order("createdAt", "SMS")
    return _said(directory, location, chattering, order[-1].added, order[-1].contact) if order else None


def _status(directory: "Directory", location: str, chattering: Chattering, now: int) -> Said:
    if not chattering.sayings:
        return None
    message = chattering.draw.choice(chattering.sayings).message
    return message._replace(status="failed", updated=now // 1_000, extra=failure)


kinds: Final[Mapping[str, Kind]] = {"new": _new, "late": _late, "tied": _tied, "status": _status}


def _said(directory: "Directory", location: str, chattering: Chattering, at_ms: int, not_by: str | None = None) -> Said:
    """By any contact that search shows; None: there is none."""
    order = directory.location(location).index.ordered("dateAdded")
    if not order:
        return None
    contact = chattering.draw.choice(order).id
    if contact == not_by:
        contact = chattering.draw.choice(order).id
    return {"contactId": contact, "dateAdded": iso(at_ms), "body": f"chatter {len(chattering.sayings)}"}
