"""A contact as HighLevel holds it, with the edits that happen to it while a workload runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from .times import added_ms, iso, never, since_1970

Fields = Mapping[str, str]  # by our names

hydratable: Final = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "company_name",
    "website",
    "address",
    "city",
    "state",
    "postal_code",
    "country",
    "timezone",
)


@dataclass(frozen=True, slots=True)
class ContactEdit:
    """From `at` on the contact has these fields."""

    at: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Contact:
    id: str
    location: str
    fields: Fields
    updated: str = "2025-02-01T00:00:00.000Z"
    since: int = 0  # a GET knows it from then on
    indexed: int = 0  # search knows it from then on
    gone: bool = False  # it was deleted before the workload started
    added: int = added_ms  # its dateAdded, ms since 1970
    others: tuple[str, ...] = ()  # additional e-mails, which no search can filter by
    edits: tuple[ContactEdit, ...] = ()
    until: int = never  # it is deleted then
    lag: int = 0  # ms until search knows of an edit or the deletion

    def shown(self, ms: int) -> "Contact | None":
        """Return the contact as a GET shows it at `ms`."""
        return self._as_of(ms) if not self.gone and self.since <= ms < self.until else None

    def found(self, ms: int) -> "Contact | None":
        """Return the contact as search shows it at `ms`."""
        there = not self.gone and self.indexed <= ms < self.until + self.lag
        return self._as_of(ms - self.lag) if there else None

    def versions(self) -> Iterator[Fields]:
        yield self.fields
        yield from (edit.fields for edit in self.edits)

    def _as_of(self, ms: int) -> "Contact":
        done = [edit for edit in self.edits if edit.at <= ms]
        return replace(self, fields=done[-1].fields, updated=iso(since_1970(done[-1].at))) if done else self
