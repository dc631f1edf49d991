"""Makes up one lead: what upstream tells of it, what HighLevel knows, and which gaps that fills by DESIGN §7.5."""

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.lab.demo.people import Fields, blanks, contact, fields, names, person, surroundings, typed, without
from tests.lab.demo.truth import Case, Message, Payload, Should
from tests.lab.demo.wire import event, moment

old: Final = "2024-03-01T12:00:00.000Z"
newer: Final = "2025-01-15T08:00:00.000Z"
newest: Final = "2025-06-30T17:45:00.000Z"  # dateUpdated of HighLevel's contacts


@dataclass(slots=True)
class Maker:
    """Everything that a kind needs to make up one lead."""

    location: str
    lead: str
    number: int  # unlike that of every other lead, in all locations
    raw_names: bool  # search shows this location's names as entered
    now_ms: int
    draw: Random

    def someone(self) -> dict[str, str]:
        return person(self.draw, self.number)

    def nobody(self) -> str:
        """An e-mail that no contact has."""
        return f"nobody.{self.number}@example.org"

    def unusable_email(self) -> str:
        """No search can find it: it is none, or over the 75 characters that a filter takes (contract.md §4.1)."""
        return self.draw.choice(("no e-mail given", f"{'long.' * 14}{self.number}@example.net"))

    def crm(self, known: Fields, unknown: tuple[str, ...] = (), share: float = 0.1) -> dict[str, str]:
        """HighLevel's record of the same person: the rest of it was entered by someone else, and not all of it."""
        there = {**known, **surroundings(self.draw), "email": typed(self.draw, known["email"]).strip()}
        return without(self.draw, there, unknown, share)

    def contact(self, known: Fields, which: int = 1, updated: str = newer, **more: Any) -> dict[str, Any]:
        return contact(self.draw, self.contact_id(which), known, updated, **more)

    def contact_id(self, which: int = 1) -> str:
        return f"contact-{self.lead.removeprefix('lead-')}-{which}"

    def data(
        self, has: Fields, contact_id: str | None = None, revision: int = 1, age_s: int | None = None, **more: Any
    ) -> dict[str, Any]:
        """A lead as upstream tells it; weeks old unless it says otherwise."""
        known = {**has, "contact_id": contact_id} if contact_id else has
        age_s = self.draw.randrange(7, 300) * 86_400 if age_s is None else age_s
        return {
            "location_id": self.location,
            "lead_id": self.lead,
            "revision": revision,
            **known,
            **blanks(self.draw, [name for name in ("contact_id", *fields) if name not in known]),
            "created_at": moment(self.now_ms - age_s * 1_000),
            **more,
        }

    def changed(self, data: Payload, type: str = "lead.changed") -> Message:
        binary = self.draw.random() < 0.1
        return event(type, data, self.event_id(data), self.lead, self.now_ms, binary)

    def event_id(self, data: Payload) -> str:
        return f"{self.lead}:{data['revision']}"

    def filled(self, has: Fields, knows: Fields, sync: bool = False) -> dict[str, str | None]:
        """The gaps that HighLevel's record fills. A search never has the time zone, and names as entered only where the
        location shows them; a GET is worth it for names, and for whatever gap a Sync finds left."""
        gaps = [name for name in fields if name not in has]
        searched = [name for name in gaps if name != "timezone" and (self.raw_names or name not in names)]
        left = [name for name in gaps if name not in searched or name not in knows]
        fetched = any(name in names or sync for name in left)
        return {name: knows[name] for name in (gaps if fetched else searched) if name in knows}

    def case(self, kind: str, data: Payload, should: Should | None, synced: Should | None, **more: Any) -> Case:
        """A lead that one event tells of; `should` None: nothing may be published for it."""
        return Case(
            self.location,
            self.lead,
            kind,
            data,
            more.pop("messages", None) or (self.changed(data),),
            answers={data["revision"]: should} if should else {},
            events=frozenset((self.event_id(data),)),
            synced=synced,
            **more,
        )

    def linked(self, kind: str, has: Fields, knows: Fields) -> Case:
        """Upstream knows the contact."""
        id = self.contact_id()
        shoulds = []
        for sync in (False, True):
            changes = self.filled(has, knows, sync)
            shoulds.append(Should("updated" if changes else "unchanged", id, changes, resolved_by="lead"))
        return self.case(kind, self.data(has, id), *shoulds, contacts=(self.contact(knows),))

    def found(self, kind: str, has: Fields, knows: Fields, by: str = "search", which: int = 1, **more: Any) -> Case:
        """HighLevel knows the contact; `which` of several is the lead's, and knows this."""
        shoulds = [self.now_linked(has, knows, by, which, sync) for sync in (False, True)]
        more = {"contacts": (self.contact(knows),)} | more
        return self.case(kind, more.pop("data", None) or self.data(has), *shoulds, **more)

    def now_linked(
        self, has: Fields, knows: Fields, by: str = "search", which: int = 1, sync: bool = False, **more: Any
    ) -> Should:
        id = self.contact_id(which)
        return Should("updated", id, {"contact_id": id, **self.filled(has, knows, sync)}, resolved_by=by, **more)
