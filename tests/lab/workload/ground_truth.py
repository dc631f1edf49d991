"""The ground truth of a lead: what Hydrant may and must publish about it. The code under test is never asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .contact import Fields
from .times import never

Answer = tuple[str, str | None]  # outcome and reason

no_contact_found: Final[Answer] = ("not_found", "no_contact")
unknown_lead: Final[Answer] = ("failed", "unknown_lead")
lead_deleted: Final[Answer] = ("failed", "lead_deleted")
reasons: Final[Mapping[str, tuple[str | None, ...]]] = {
    "not_found": ("no_contact",),
    "ambiguous": ("different_phones",),
    "updated": (None,),
    "unchanged": (None,),
}


@dataclass(slots=True)
class RevisionTruth:
    """The changes that results may and must hold for one revision of a lead."""

    may: Fields = field(default_factory=dict)
    must: Fields = field(default_factory=dict)
    contacts: frozenset[str] = frozenset()  # ids that the lead may be linked to
    also: frozenset[tuple[str, str]] = frozenset()  # further changes that are right, because the contact is edited


@dataclass(slots=True)
class GroundTruth:
    revisions: dict[int, RevisionTruth] = field(default_factory=dict)
    last: frozenset[str | None] = frozenset({None})  # outcomes of the last result; None: there need not be a result
    requests: dict[str, frozenset[Answer]] = field(default_factory=dict)  # request id → allowed answers
    requested_at: dict[str, int] = field(default_factory=dict)  # by request id
    replaces: str | None = None  # a dead link that a result must clear
    repeats: frozenset[str] = frozenset()  # event ids that the contract lets two results name
    excused: frozenset[Answer] = frozenset()  # further answers that are right after an outage of seconds
    known: int = never  # when upstream first published the lead
    deleted: int | None = None  # when upstream published its deletion
    job: frozenset[str] = frozenset()  # outcomes in a job; empty: no job has this lead
    findable: tuple[int, int] | None = None  # when search finds its contact; None: unknown
    wants_messages: bool = False  # a Sync asks for its messages
    vanishes: int | None = None  # when search knows that its contact is deleted; no page says so

    @property
    def revision(self) -> int | None:
        return max(self.revisions, default=None)

    @property
    def contacts(self) -> set[str]:
        """Return the ids of all contacts that the lead may ever be linked to."""
        return {contact for revision in self.revisions.values() for contact in revision.contacts}
