"""Make up the leads of a location, its contacts in HighLevel, and what a job must make of each lead. No data is real."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tests.bench import leads
from tests.integration.canaries import Lead, lacking

Kind = Literal["plain", "absent", "twins", "whole", "by phone", "linked"]
whole: Final = 11  # a number that lacks nothing
rare: Final[Mapping[int, Kind]] = {3: "absent", 8: "twins", whole: "whole", 14: "by phone", 17: "linked"}
rarely: Final = 20  # each of the rare ones is one lead in so many
gaps: Final[Mapping[Kind, tuple[str, ...]]] = {"whole": (), "by phone": (*lacking, "email"), "linked": ("city",)}
outcomes: Final[Mapping[Kind, str]] = {"absent": "not_found", "twins": "ambiguous", "whole": "unchanged"}
strangers_since: Final = 50_000  # their numbers, beyond those of all leads
second: Final = 1_000_000  # between the ids of a contact and of its twin


@dataclass(frozen=True, slots=True)
class Resident(Lead):
    """Make up a lead that lacks some fields, and its result."""

    @property
    def kind(self) -> Kind:
        return rare.get(self.number % rarely, "plain")

    @property
    def outcome(self) -> str:
        return outcomes.get(self.kind, "updated")

    @property
    def gained(self) -> dict[str, str]:
        """Return the `changes` of its result."""
        lacked = gaps.get(self.kind, lacking) if self.outcome == "updated" else ()
        return {name: self.everything[name] for name in lacked}

    @property
    def everything(self) -> dict[str, str]:
        return {"contact_id": leads.contact_id(self.number), **self.person}

    def known(self, revision: int = 1, **more: object) -> dict[str, object]:
        ids = {"location_id": self.location, "lead_id": self.id, "revision": revision, "created_at": leads.years_ago}
        unknown = gaps.get(self.kind, lacking)
        return {**ids, **{name: value for name, value in self.everything.items() if name not in unknown}, **more}

    @property
    def contacts(self) -> "list[Contact]":
        if self.kind == "absent":
            return []
        return [Contact(self.location, self.number, twin) for twin in ((1, 2) if self.kind == "twins" else (0,))]


@dataclass(frozen=True, slots=True)
class Contact(Lead):
    """Make up a contact. Twins share one e-mail, and their phones aren't the lead's."""

    twin: int = 0

    def contact(self) -> leads.Json:
        made = Lead(self.location, self.number).contact()
        shown = {**made["contact"], "dateAdded": leads.years_ago}
        if self.twin:
            other = {
                "id": leads.contact_id(self.number + second * self.twin),
                "phone": f"+1555{self.number:06d}{self.twin}",
            }
            shown |= other
        return {**made, "contact": shown}


@dataclass(frozen=True, slots=True)
class Town:
    """Describe a location with so many leads, and so many further contacts without a lead."""

    location: str
    size: int
    strangers: int = 0
    since: int = 0  # its leads are numbered from here on: no two towns have a number in common

    @property
    def leads(self) -> list[Resident]:
        return [Resident(self.location, self.since + each) for each in range(self.size)]

    @property
    def contacts(self) -> list[Contact]:
        others = [Contact(self.location, strangers_since + self.since + each) for each in range(self.strangers)]
        return [one for lead in self.leads for one in lead.contacts] + others
