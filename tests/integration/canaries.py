"""Made-up leads whose people are canaries: what is theirs must show up nowhere but in payloads. Nobody's data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.shard.store import OutRecord
from processor.topics import home
from tests.bench import leads
from tests.lab.demo.people import highlevels

marks: Final = ("canary", "990042424")  # in everyone's e-mail and names, in everyone's phone
lacking: Final = ("contact_id", "city")  # a search gives both, so each lead costs one call


@dataclass(frozen=True, slots=True)
class Lead:
    """One made-up person: as upstream knows them, as HighLevel does, and so what must come of it."""

    location: str
    number: int

    @property
    def id(self) -> str:
        return leads.lead_id(self.number)

    @property
    def person(self) -> dict[str, str]:
        return leads.person(self.number) | {
            "email": f"canary.mail.{self.number}@example.com",
            "phone": f"+1990042424{self.number:04d}",
            "first_name": f"Canarygiven{self.number}",
            "last_name": f"Canaryname{self.number}",
        }

    @property
    def gained(self) -> dict[str, str]:
        """The `changes` of its result."""
        return {"contact_id": leads.contact_id(self.number), "city": self.person["city"]}

    def known(self, revision: int = 1, **more: object) -> dict[str, object]:
        """The data of its `lead.changed`."""
        told = {name: value for name, value in self.person.items() if name not in lacking}
        ids = {"location_id": self.location, "lead_id": self.id, "revision": revision}
        return {**ids, "created_at": leads.years_ago, **told, **more}

    def change(self, revision: int = 1, **more: object) -> OutRecord:
        data = self.known(revision, **more)
        return event("lead.changes", "lead.changed", data, f"change-{self.number}-{revision}")

    def deletion(self, revision: int) -> OutRecord:
        data = {"location_id": self.location, "lead_id": self.id, "revision": revision}
        return event("lead.changes", "lead.deleted", data, f"deletion-{self.number}-{revision}")

    def sync(self, request: str, **more: object) -> OutRecord:
        """Without a `lead` of its own, and for no messages, unless `more` says so."""
        ids = {"request_id": request, "location_id": self.location, "lead_id": self.id}
        data = {**ids, "include_messages": False, **more}
        return event("sync.requests", "sync.lead.requested", data, f"event-of-{request}")

    def contact(self) -> leads.Json:
        shown = {theirs: self.person[ours] for ours, theirs in highlevels.items()}
        return {
            "location_id": self.location,
            "contact": {"id": leads.contact_id(self.number), **shown, "dateUpdated": leads.years_ago},
        }


def event(topic: str, kind: str, data: Mapping[str, Any], unique: str) -> OutRecord:
    location = str(data["location_id"])
    return OutRecord(topic, location.encode(), leads.event(kind, data, location, unique))


def made_up(location: str, count: int, since: int = 0) -> list[Lead]:
    return [Lead(location, number) for number in range(since, since + count)]


def places(count: int, partitions: int) -> list[str]:
    """Locations whose homes are partition 0, 1, 2, … in turn."""
    names: Iterator[str] = (f"FaultLocation{number:07d}" for number in range(1_000_000))
    return [next(name for name in names if home(name, partitions) == each % partitions) for each in range(count)]
