"""Change contacts while a client searches: after each search, edit, add, merge and delete some of a location's contacts.

The changes follow from the seed. Each is recorded with the contact before and after it. Time is an argument.
"""

from dataclasses import dataclass
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
    """Set the number of contacts that change after each search, by kind. Raise ValueError for a number out of range."""

    edit: int = 0  # another city
    rename: int = 0  # another e-mail
    add: int = 0
    twin: int = 0  # a new contact with the e-mail of another
    merge: int = 0  # a contact takes over another
    delete: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not is_whole(getattr(self, name), 0, max_churn_per_search):
                raise ValueError(f"churn: {name}: not a whole number from 0 to {max_churn_per_search}")


@dataclass(frozen=True, slots=True)
class ContactChange:
    """Record a change. `before` is None for an added contact, `after` for a deleted one. A merge makes two, the survivor's first."""

    at: int  # µs since 1970
    search: int  # number of the search before it, from 1
    kind: str
    before: StoredContact | None
    after: StoredContact | None

    def as_json(self) -> dict[str, Any]:  # a JSON object
        before, after = (contact and contact_json(contact) for contact in (self.before, self.after))
        moment = {"at_ms": self.at / 1_000, "search": self.search}
        return {**moment, "kind": self.kind, "before": before, "after": after}


class ActiveChurn:
    """Change contacts of a location, and record the changes."""

    def __init__(self, directory: "Directory", location: str, churn: Churn) -> None:
        self.churn = churn
        self.searches = 0
        self.changes: list[ContactChange] = []
        self._directory = directory
        self._location = location
        self._draw = Random(f"{directory.seed} churn {location}")

    def after_search(self, now: int) -> None:
        self.searches += 1
        for kind in Churn.__slots__:
            for _ in range(getattr(self.churn, kind)):
                if len(self.changes) >= max_churn_changes:
                    return
                for before, after in self._change(kind, now):
                    self.changes.append(ContactChange(now, self.searches, kind, before, after))

    def _change(self, kind: str, now: int) -> list[tuple[StoredContact | None, StoredContact | None]]:
        """Change one contact, or two by a merge. Return each before and after it; return none if no contact was found."""
        directory, location = self._directory, self._location
        number = len(self.changes)
        email = f"new.{number}@churn.example.com"
        if kind == "add":
            return [(None, directory.add(location, {"firstName": "New", "lastName": "McComer", "email": email}, now))]
        drawn = self._draw_contact()
        other = self._draw_contact() if kind == "merge" else None
        if drawn is None:
            return []
        if kind in ("edit", "rename"):
            fields = {"city": f"Movedville {number}"} if kind == "edit" else {"email": email}
            return [(drawn, directory.change(location, drawn.id, fields, now))]
        if kind == "twin" and drawn.email:
            return [(None, directory.add(location, {"firstName": "Twin", "email": drawn.email}, now))]
        if kind == "merge" and other is not None and other.id != drawn.id:
            return [(drawn, directory.merge(location, other.id, drawn.id, now)), (other, None)]
        if kind == "delete":
            directory.delete(location, drawn.id, now)
            return [(drawn, None)]
        return []

    def _draw_contact(self) -> StoredContact | None:
        """Return a random contact that search shows and that still exists, None if the draws find none."""
        order = self._directory.location(self._location).index.ordered("dateAdded")
        drawn = (self._directory.contacts.get(self._draw.choice(order).id) for _ in range(max_draws) if order)
        return next((contact for contact in drawn if contact), None)


def set_churn(directory: "Directory", location: str, churn: Churn | None) -> None:
    """Start churn with an empty record, or stop it and keep the record if `churn` is None."""
    place = directory.location(location)
    if churn is not None:
        place.churn = ActiveChurn(directory, location, churn)
    elif place.churn is not None:
        place.churn.churn = Churn()
