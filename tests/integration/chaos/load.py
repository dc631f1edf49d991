"""The workload of chaos: changes and Syncs at three locations, and two towns with Sync Alls and a backfill. No data is real."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Final

import orjson

from tests.integration.chaos.schedule import faulty, quiet_s
from tests.lab.workload.contact import Contact, Fields
from tests.lab.workload.found_kinds import without
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.message import Message, minute_ms
from tests.lab.workload.publication import JobRequest, Publication, envelope_of
from tests.lab.workload.times import added_ms
from tests.lab.workload.workload import Workload, locations_at_home

marks: Final = ("canary", "990042424")  # in all e-mails, names and messages, and in all phones
partitions: Final = 6
where: Final = {name: locations_at_home(1, each, partitions)[0] for each, name in enumerate(faulty)}
busy: Final = ("first", "second", "third")  # locations of single changes, each of which costs a call
at_first: Final = 100  # changes of each busy location at the start
a_second: Final = 6.0  # and afterwards: with the faults more than its budget allows, most of the time
towns: Final = {"town": (500, 0, 30_000), "village": (160, 700, 31_000)}  # leads, bystanders, first number
backfill: Final = "backfill"  # its request id; that of a Sync All is its town
resident_kinds: Final = {
    3: "absent",
    8: "twins",
    11: "whole",
    14: "by phone",
    17: "linked",
}  # of 20 each; others: plain
messages_of_resident: Final = 3
talkers: Final = 12  # of the first leads of a busy location; they keep their e-mails
messages_of_talkers: Final = (4, 4, 4, 520)  # in turn; an export gives 500 at once
apart: Final = 8_000  # between the numbers of leads of two busy locations
others: Final = 60_000  # numbers of the contacts that leads get by an edit
sync_deadline_s: Final = 900  # no Sync may be too late
sync_every_s: Final = 1.2
malformed_every_s: Final = 4.0


def marked(number: int) -> dict[str, Any]:
    """Return the fields of a person whose personal data holds the marks."""
    return {
        "email": f"canary.mail.{number}@example.com",
        "phone": f"+1990042424{number:05d}",
        "first_name": f"Canarygiven{number}",
        "last_name": f"Canaryname{number}",
    }


@dataclass
class Upstream:
    """A workload in the making, moment by moment."""

    random: Random
    leads: dict[int, WorkloadLead] = field(default_factory=dict)  # by number
    requests: int = 0
    malformed: list[Publication] = field(default_factory=list)

    def arrive(self, at: int, location: str, number: int) -> None:
        lead = self.leads[number] = WorkloadLead("chaos", number, location, False, at, "arrives")
        lead.expect("updated")
        lead.truth.job = frozenset({"updated"})
        contact = lead.contact(**marked(number))
        lead.change(1, {**without(contact.fields, "city"), "source": "version 1"}, contact)

    def change(self, at: int, location: str, number: int) -> None:
        """Publish a new lead, or edit one: by itself, or to the e-mail of another contact."""
        if self.random.random() < 0.7:
            self.arrive(at, location, number)
            return
        lead = self.random.choice([lead for lead in self.leads.values() if lead.location == location])
        moves = self.random.random() < 0.3 and not talks(lead)
        contact = lead.contact(**marked(others + number)) if moves else lead.contacts[-1]
        lead.at = at
        lead.change(*next_version(lead, contact))

    def sync(self, at: int) -> None:
        """Request a Sync of a lead as it is known, or with a new version; one in two asks for its messages."""
        request = f"request-{self.requests}"
        self.requests += 1
        wants, renews = self.random.random() < 0.5, self.random.random() < 0.3
        lead = self.random.choice([lead for lead in self.leads.values() if talks(lead) or not wants])
        more: dict[str, Any] = {"include_messages": wants, "deadline_s": sync_deadline_s}
        lead.at = at
        if renews:
            revision, known, contact = next_version(lead, lead.contacts[-1])
            lead.set_truth(revision, known, contact)
            more["lead"] = lead.snapshot(revision)
        lead.sync(request, **more)

    def slip(self, at: int) -> None:
        """Publish a malformed record: half a JSON text, or a revision that is no number."""
        number = len(self.malformed)
        data = {"location_id": where["second"], "lead_id": f"lead-malformed-{number}", "revision": "one"}
        value = orjson.dumps({**envelope_of(f"malformed-{number}", "lead.changed"), "data": data})
        reason = ("not_json", "invalid_field")[number % 2]
        value = value[: len(value) // 2] if reason == "not_json" else value
        self.malformed.append(Publication(at, "lead.changes", where["second"], value, dead_letter=reason))


def next_version(lead: WorkloadLead, contact: Contact) -> tuple[int, Fields, Contact]:
    """Return the next revision of a lead: its own person, with the e-mail of `contact`."""
    revision = (lead.truth.revision or 0) + 1
    known = {**without(lead.contacts[0].fields, "city"), "email": contact.fields["email"]}
    return revision, {**known, "source": f"version {revision}"}, contact


def talks(lead: WorkloadLead) -> bool:
    return lead.number % apart < talkers


def resident(location: str, number: int) -> WorkloadLead:
    """Make a lead of a town. It is an initial load: only jobs give it an outcome."""
    kind = resident_kinds.get(number % 20, "plain")
    lead = WorkloadLead("chaos", number, location, False, 0, kind)
    person = lead.contact(**marked(number))
    if kind == "absent":
        lead.contacts.clear()
    if kind == "twins":  # one e-mail, and phones that aren't the lead's
        lead.contacts[:] = [
            replace(person, id=f"{person.id}-{twin}", fields={**person.fields, "phone": f"+1555{number:06d}{twin}"})
            for twin in (1, 2)
        ]
    gaps = {"whole": (), "linked": ("city",), "by phone": ("city", "email")}.get(kind, ("city",))
    known = without(person.fields, *gaps)
    if kind in ("whole", "linked"):
        known["contact_id"] = person.id
    outcome = {"absent": "not_found", "twins": "ambiguous", "whole": "unchanged"}.get(kind, "updated")
    lead.change(1, known, None if kind in ("absent", "twins") else person, loading=True)
    lead.expect(None if kind == "whole" else outcome)
    lead.truth.job = frozenset({outcome})
    return lead


def bystanders(location: str, first: int, count: int) -> Iterator[Contact]:
    for number in range(first, first + count):
        yield WorkloadLead("chaos", number, location, False, 0).contact(**marked(number))


def messages_of(lead: WorkloadLead, count: int) -> Iterator[Message]:
    """Make old messages of the lead's contact, ten minutes apart."""
    (contact, *_) = lead.contacts
    for each in range(count):
        sent, body = added_ms + each * 10 * minute_ms + lead.number % 1_000, f"Canary message {each} of {contact.id}"
        kind = ("TYPE_SMS", "SMS", "TYPE_CAMPAIGN_SMS")[each % 3]
        yield Message(f"sms-{contact.id}-{each}", lead.location, contact.id, sent, kind=kind, body=body)


def load(seed: int, lasts_s: float) -> Workload:
    """Make the workload of a seed. All of it is published before the faults end."""
    random = Random(f"{seed} load")
    upstream = Upstream(random)
    ends_s = lasts_s - quiet_s - 2
    moments: list[tuple[float, Callable[[int], None]]] = []
    for place, name in enumerate(busy):
        for each in range(at_first + round(a_second * ends_s)):
            publish = upstream.arrive if each < at_first else upstream.change
            at_s = max(0.0, (each - at_first) / a_second)
            moments.append((at_s, partial(publish, location=where[name], number=apart * place + each)))
    moments += [(at_s, upstream.sync) for at_s in now_and_then(random, sync_every_s, ends_s)]
    moments += [(at_s, upstream.slip) for at_s in now_and_then(random, malformed_every_s, ends_s)]
    for at_s, happens in sorted(moments, key=lambda moment: moment[0]):
        happens(round(at_s * 1_000))
    jobs = [
        JobRequest(round(random.uniform(3, ends_s - 5) * 1_000), name, where[name], messages=True) for name in towns
    ]
    jobs.append(JobRequest(round(random.uniform(5, ends_s - 5) * 1_000), backfill))
    residents = [
        resident(where[name], number)
        for name, (size, _, first) in towns.items()
        for number in range(first, first + size)
    ]
    talkative = [lead for lead in upstream.leads.values() if talks(lead)]
    counts = [(lead, messages_of_talkers[lead.number % len(messages_of_talkers)]) for lead in talkative]
    counts += [(lead, messages_of_resident) for lead in residents if lead.kind not in ("absent", "twins")]
    return Workload(
        seed,
        [*residents, *upstream.leads.values()],
        upstream.malformed,
        partitions=partitions,
        owned=tuple(range(partitions)),
        jobs=tuple(jobs),
        bystanders=tuple(
            one for name, (_, count, first) in towns.items() for one in bystanders(where[name], first + 20_000, count)
        ),
        messages=tuple(message for lead, count in counts for message in messages_of(lead, count)),
    )


def now_and_then(random: Random, every_s: float, ends_s: float) -> Iterator[float]:
    at_s = 1.0
    while (at_s := at_s + random.uniform(0.5, 1.5) * every_s) < ends_s:
        yield at_s
