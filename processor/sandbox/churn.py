"""Change contacts while a client searches: after each search, edit, add, merge and delete some of a location's contacts.

The changes follow from the seed. Each is recorded with the contact before and after it. Time is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from processor.sandbox.json_values import is_whole
from processor.sandbox.stored_contact import StoredContact, contact_json

if TYPE_CHECKING:
    from processor.sandbox.directory import Directory

max_churn_per_search: Final = 1_000  # of each kind
max_draws: Final = 20  # for one change: search may show deleted contacts only
max_churn_changes: Final = 100_000  # then churn stops: its changes are kept in memory


@dataclass(frozen=True, slots=True)
class Churn:
    """The number of contacts that change after each search, by kind. Raises ValueError for a number out of range."""

    edit: int = 0  # another city
    rename: int = 0  # another e-mail
    add: int = 0
    twin: int = 0  # added with the e-mail of another one
    merge: int = 0  # two become one
    delete: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not is_whole(getattr(self, name), 0, max_churn_per_search):
                raise ValueError(f"churn: {name}: not a whole number from 0 to {max_churn_per_search}")


@dataclass(frozen=True, slots=True)
class ContactChange:
    """A recorded change. `before` is None for an added contact, `after` for a deleted one. A merge makes two, the survivor's first."""

    at: int  # µs since 1970
    search: int  # number of the search before it, from 1
    kind: str
    before: StoredContact | None
    after: StoredContact | None

    def as_json(self) -> dict[str, Any]:  # a JSON object
        shown = {name: held and contact_json(held) for name, held in (("before", self.before), ("after", self.after))}
        return {"at_ms": self.at / 1_000, "search": self.search, "kind": self.kind, **shown}


@dataclass(slots=True)
class ActiveChurn:
    """A location's churn and its changes so far."""

    churn: Churn
    draw: Random
    searches: int = 0
    changes: list[ContactChange] = field(default_factory=list)


def set_churn(directory: "Directory", location: str, churn: Churn | None) -> None:
    """Start churn with an empty record, or stop it and keep the record if `churn` is None."""
    place = directory.location(location)
    if churn is not None:
        place.churn = ActiveChurn(churn, Random(f"{directory.seed} churn {location}"))
    elif place.churn is not None:
        place.churn.churn = Churn()


def churn_after_search(directory: "Directory", location: str, now: int) -> None:
    active = directory.location(location).churn
    if active is None:
        return
    active.searches += 1
    for kind, change in churn_kinds.items():
        for _ in range(getattr(active.churn, kind)):
            if len(active.changes) >= max_churn_changes:
                return
            for before, after in change(directory, location, active, now):
                active.changes.append(ContactChange(now, active.searches, kind, before, after))


BeforeAndAfter = tuple[StoredContact | None, StoredContact | None]
ChurnKind = Callable[["Directory", str, ActiveChurn, int], list[BeforeAndAfter]]


def _edit(directory: "Directory", location: str, active: ActiveChurn, now: int) -> list[BeforeAndAfter]:
    return _change(directory, location, active, now, {"city": f"Movedville {len(active.changes)}"})


def _rename(directory: "Directory", location: str, active: ActiveChurn, now: int) -> list[BeforeAndAfter]:
    return _change(directory, location, active, now, {"email": _new_email(active)})


def _add(directory: "Directory", location: str, active: ActiveChurn, now: int) -> list[BeforeAndAfter]:
    contact = {"firstName": "New", "lastName": "McComer", "email": _new_email(active)}
    return [(None, directory.add(location, contact, now))]


def _twin(directory: "Directory", location: str, active: ActiveChurn, now: int) -> list[BeforeAndAfter]:
    other = _draw_contact(directory, location, active)
    if other is None or not other.email:
        return []
    return [(None, directory.add(location, {"firstName": "Twin", "email": other.email}, now))]


def _merge(directory: "Directory", location: str, active: ActiveChurn, now: int) -> list[BeforeAndAfter]:
    kept, gone = (_draw_contact(directory, location, active) for _ in range(2))
    if kept is None or gone is None or kept.id == gone.id:
        return []
    return [(kept, directory.merge(location, gone.id, kept.id, now)), (gone, None)]


def _delete(directory: "Directory", location: str, active: ActiveChurn, now: int) -> list[BeforeAndAfter]:
    gone = _draw_contact(directory, location, active)
    if gone is None:
        return []
    directory.delete(location, gone.id, now)
    return [(gone, None)]


churn_kinds: Final[Mapping[str, ChurnKind]] = {
    "edit": _edit,
    "rename": _rename,
    "add": _add,
    "twin": _twin,
    "merge": _merge,
    "delete": _delete,
}


def _draw_contact(directory: "Directory", location: str, active: ActiveChurn) -> StoredContact | None:
    """Return a random contact that search shows and that still exists, None if the draws find none."""
    order = directory.location(location).index.ordered("dateAdded")
    drawn = (directory.contacts.get(active.draw.choice(order).id) for _ in range(max_draws) if order)
    return next((contact for contact in drawn if contact), None)


def _change(
    directory: "Directory", location: str, active: ActiveChurn, now: int, fields: Mapping[str, str]
) -> list[BeforeAndAfter]:
    before = _draw_contact(directory, location, active)
    return [(before, directory.change(location, before.id, fields, now))] if before else []


def _new_email(active: ActiveChurn) -> str:
    return f"new.{len(active.changes)}@churn.example.com"
