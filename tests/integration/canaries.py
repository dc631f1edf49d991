"""Make up leads whose persons are canaries: their data may show up in payloads alone. No data is real."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.shard.store import OutRecord
from processor.topics import home
from tests.bench import leads
from tests.lab.harness.rows import highlevel_names

marks: Final = ("canary", "990042424")  # in each e-mail and name, in each phone
lacking: Final = ("contact_id", "city")  # a search gives both, so each lead costs one call


@dataclass(frozen=True, slots=True)
class Lead:
    """Make up one person: as upstream knows it, as HighLevel knows it, and the changes that follow."""

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
        """Return the `changes` of its result."""
        return {"contact_id": leads.contact_id(self.number), "city": self.person["city"]}

    def known(self, revision: int = 1, **more: object) -> dict[str, object]:
        """Return the data of its `lead.changed`."""
        fields = {name: value for name, value in self.person.items() if name not in lacking}
        ids = {"location_id": self.location, "lead_id": self.id, "revision": revision}
        return {**ids, "created_at": leads.years_ago, **fields, **more}

    def change(self, revision: int = 1, **more: object) -> OutRecord:
        data = self.known(revision, **more)
        return event("lead.changes", "lead.changed", data, f"change-{self.number}-{revision}")

    def deletion(self, revision: int) -> OutRecord:
        data = {"location_id": self.location, "lead_id": self.id, "revision": revision}
        return event("lead.changes", "lead.deleted", data, f"deletion-{self.number}-{revision}")

    def sync(self, request: str, **more: object) -> OutRecord:
        """Return a Sync without a snapshot of the lead and without messages, unless `more` says otherwise."""
        ids = {"request_id": request, "location_id": self.location, "lead_id": self.id}
        data = {**ids, "include_messages": False, **more}
        return event("sync.requests", "sync.lead.requested", data, f"event-of-{request}")

    def contact(self) -> leads.Json:
        shown = {theirs: self.person[ours] for ours, theirs in highlevel_names.items()}
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
    """Return locations whose homes are partitions 0, 1, 2, … in turn."""
    names: Iterator[str] = (f"FaultLocation{number:07d}" for number in range(1_000_000))
    return [next(name for name in names if home(name, partitions) == each % partitions) for each in range(count)]
