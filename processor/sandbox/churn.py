"""Contacts that change while they are searched: after each search answered some are edited, added, merged, deleted.

Seeded, and recorded with what each contact was before and after, so that a judge knows who was there when. Pure: time is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import TYPE_CHECKING, Any, Final

from processor.sandbox.shapes import Contact, full

if TYPE_CHECKING:
    from processor.sandbox.directory import Directory

at_most: Final = 1_000  # of each kind, after one search
draws_at_most: Final = 20  # for one change: search may show none but deleted ones
changes_at_most: Final = 100_000  # then there is peace: the record is kept in memory


@dataclass(frozen=True, slots=True)
class Churn:
    """How many contacts of a location, after each search. ValueError: out of range."""

    edit: int = 0  # another city
    rename: int = 0  # another e-mail
    add: int = 0
    twin: int = 0  # added with the e-mail of another one
    merge: int = 0  # two become one
    delete: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= at_most:
                raise ValueError(f"churn: {name}: not a whole number from 0 to {at_most}")


def parse(given: Any) -> Churn:  # any JSON
    """ValueError says what is wrong."""
    if not isinstance(given, dict):
        raise ValueError("churn: not an object")
    if unknown := given.keys() - {one.name for one in fields(Churn)}:
        raise ValueError(f"churn: {min(unknown)}: unknown")
    return Churn(**given)


@dataclass(frozen=True, slots=True)
class Change:
    """`before` None: it was added; `after` None: it is gone. A merge is two of them, the survivor's first."""

    at: int  # µs since 1970
    search: int  # after which one it came, from 1
    kind: str
    before: Contact | None
    after: Contact | None

    def as_json(self) -> dict[str, Any]:  # a JSON object
        shown = {name: held and full(held) for name, held in (("before", self.before), ("after", self.after))}
        return {"at_ms": self.at / 1_000, "search": self.search, "kind": self.kind, **shown}


@dataclass(slots=True)
class Churning:
    """A location's churn under way, and its record."""

    churn: Churn
    draw: Random
    searches: int = 0
    changes: list[Change] = field(default_factory=list)


def begin(directory: "Directory", location: str, churn: Churn | None) -> None:
    """With a new record; None: there is peace, and the record stays."""
    place = directory.location(location)
    if churn is not None:
        place.churning = Churning(churn, Random(f"{directory.seed} churn {location}"))
    elif place.churning is not None:
        place.churning.churn = Churn()


def after_search(directory: "Directory", location: str, now: int) -> None:
    churning = directory.location(location).churning
    if churning is None:
        return
    churning.searches += 1
    for kind, change in kinds.items():
        for _ in range(getattr(churning.churn, kind)):
            if len(churning.changes) >= changes_at_most:
                return
            for before, after in change(directory, location, churning, now):
                churning.changes.append(Change(now, churning.searches, kind, before, after))


Pair = tuple[Contact | None, Contact | None]  # before and after
Kind = Callable[["Directory", str, Churning, int], list[Pair]]


def _edit(directory: "Directory", location: str, churning: Churning, now: int) -> list[Pair]:
    return _changed(directory, location, churning, now, {"city": f"Movedville {len(churning.changes)}"})


def _rename(directory: "Directory", location: str, churning: Churning, now: int) -> list[Pair]:
    return _changed(directory, location, churning, now, {"email": _new_email(churning)})


def _add(directory: "Directory", location: str, churning: Churning, now: int) -> list[Pair]:
    contact = {"firstName": "New", "lastName": "McComer", "email": _new_email(churning)}
    return [(None, directory.add(location, contact, now))]


def _twin(directory: "Directory", location: str, churning: Churning, now: int) -> list[Pair]:
    other = _some(directory, location, churning)
    if other is None or not other.email:
        return []
    return [(None, directory.add(location, {"firstName": "Twin", "email": other.email}, now))]


def _merge(directory: "Directory", location: str, churning: Churning, now: int) -> list[Pair]:
    kept, gone = (_some(directory, location, churning) for _ in range(2))
    if kept is None or gone is None or kept.id == gone.id:
        return []
    return [(kept, directory.merge(location, gone.id, kept.id, now)), (gone, None)]


def _delete(directory: "Directory", location: str, churning: Churning, now: int) -> list[Pair]:
    gone = _some(directory, location, churning)
    if gone is None:
        return []
    directory.delete(location, gone.id, now)
    return [(gone, None)]


kinds: Final[Mapping[str, Kind]] = {
    "edit": _edit,
    "rename": _rename,
    "add": _add,
    "twin": _twin,
    "merge": _merge,
    "delete": _delete,
}


def _some(directory: "Directory", location: str, churning: Churning) -> Contact | None:
    """Any contact that search shows and that isn't gone by now; None: none is easily found."""
    order = directory.location(location).index.ordered("dateAdded")
    drawn = (directory.contacts.get(churning.draw.choice(order).id) for _ in range(draws_at_most) if order)
    return next((contact for contact in drawn if contact), None)


def _changed(
    directory: "Directory", location: str, churning: Churning, now: int, shown: Mapping[str, str]
) -> list[Pair]:
    before = _some(directory, location, churning)
    return [(before, directory.change(location, before.id, shown, now))] if before else []


def _new_email(churning: Churning) -> str:
    return f"new.{len(churning.changes)}@churn.example.com"
