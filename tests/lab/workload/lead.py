"""One lead of a workload: the records that upstream publishes about it, its contacts, and its ground truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

import orjson

from .contact import Contact, Fields, hydratable
from .ground_truth import Answer, GroundTruth, RevisionTruth, reasons
from .publication import Publication, envelope_of
from .times import added_ms, long_ago

name_fields: Final = frozenset({"first_name", "last_name"})  # search lower-cases them; such a gap alone justifies a GET


@dataclass
class WorkloadLead:
    """A kind of lead calls these methods in order; `at` is the time of the next publication."""

    seed: int | str
    number: int
    location: str
    raw_names: bool  # search shows names as entered
    begins: int
    kind: str = ""
    publications: list[Publication] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    truth: GroundTruth = field(default_factory=GroundTruth)
    poison: set[str] = field(default_factory=set)  # e-mails that make a search fail
    lasts: int = 60_000  # ms: contacts and leads change while jobs run, for so long
    one_identity: bool = True  # upstream never changes the e-mail, phone or contact by which it is looked up

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} tale {self.number}")
        self.at = self.begins
        self.id = f"lead-{self.number}"
        self._contact_of: dict[int, Contact | None] = {}  # by revision
        self._known: dict[int, Fields] = {}  # by revision

    def contact(self, lacks: Iterable[str] = (), **changes: object) -> Contact:
        """Add a contact to HighLevel. It shares no value with another contact unless `changes` says so."""
        number = f"{self.number}.{len(self.contacts)}"
        digits = f"{self.number:05}{len(self.contacts):02}"
        known = {
            "email": f"Jane.{number}@Example.com",
            "phone": f"+1555{digits}",
            "first_name": f"Jane{number}",
            "last_name": "McDoe",
            "company_name": f"Example {number} Ltd",
            "website": f"https://example.com/{number}",
            "address": f"{self.number} Main Street",
            "city": "Springfield",
            "state": "IL",
            "postal_code": f"{self.number:05}",
            "country": "US",
            "timezone": "America/Chicago",
        }
        changes.setdefault("added", added_ms + self.number * 1_000 + len(self.contacts))
        fields = {name: str(changes.pop(name, value)) for name, value in known.items() if name not in lacks}
        contact = replace(Contact(f"contact-{number}", self.location, fields), **changes)  # type: ignore[arg-type]  # by name
        self.contacts.append(contact)
        return contact

    def expect(self, *outcomes: str | None) -> None:
        """Set the outcomes that the last result may have; None: there need not be a result."""
        self.truth.last = frozenset(outcomes)

    def later(self, least: int, most: int) -> None:
        self.at += self.random.randint(least, most)

    def change(self, revision: int, known: Fields, contact: Contact | None, old: bool = True, **more: object) -> None:
        """Publish a snapshot of the lead. `contact` is the one that Hydrant must find for it."""
        self.set_truth(revision, known, contact)
        self.truth.known = min(self.truth.known, self.at)
        self.publish("lead.changes", "lead.changed", self.snapshot(revision, old) | more)

    def set_truth(self, revision: int, known: Fields, contact: Contact | None) -> None:
        """Record the ground truth of a revision without publishing it."""
        self._contact_of[revision], self._known[revision] = contact, known
        self.truth.revisions[revision] = self._revision_truth(revision, synced=False)

    def republish(self, revision: int) -> None:
        """Publish the same snapshot again, as an upstream that delivers at least once does."""
        self.publish("lead.changes", "lead.changed", self.snapshot(revision))

    def delete(self, revision: int) -> None:
        self.truth.revisions[revision] = RevisionTruth()
        self.truth.deleted = self.at
        self.publish("lead.changes", "lead.deleted", {"lead_id": self.id, "revision": revision})

    def sync(self, request: str, *answers: Answer, late: bool = False, **more: object) -> None:
        """Publish a Sync of the lead, without messages unless `more` asks for them.

        Its answer is one of `answers`; without them, one that agrees with the last outcome.
        """
        usual = {
            (outcome, reason) for outcome in self.truth.last if outcome for reason in reasons.get(outcome, (None,))
        }
        self.truth.requests.setdefault(request, frozenset(answers) or frozenset(usual))
        self.truth.requested_at.setdefault(request, self.at)
        self.truth.wants_messages |= bool(more.get("include_messages"))
        timestamp = self.at - 200_000 if late else None
        data = {"lead_id": self.id, "request_id": request, "include_messages": False, **more}
        self.publish("sync.requests", "sync.lead.requested", data, timestamp)
        if late and "lead" in more:
            self.truth.repeats |= {str(self.publications[-1].event)}
        if self.one_identity and not late:
            revisions = {revision: self._revision_truth(revision, synced=True) for revision in self._contact_of}
            self.truth.revisions |= revisions

    def publish(self, topic: str, kind: str, data: Mapping[str, object], timestamp: int | None = None) -> None:
        event = f"event-{self.number}-{len(self.publications)}"
        envelope = envelope_of(event, kind)
        headers: tuple[tuple[str, bytes], ...] = ()
        body: dict[str, object] = {"location_id": self.location, **data}
        value = orjson.dumps({**envelope, "data": body})
        if self.random.random() < 0.2:  # binary mode
            headers = tuple((f"ce_{name}", text.encode()) for name, text in envelope.items())
            value = orjson.dumps(body)
        transaction = "committed" if self.random.random() < 0.3 else None
        self.publications.append(
            Publication(self.at, topic, self.location, value, headers, timestamp, transaction, event)
        )

    def publish_aborted(self) -> None:
        """Abort a transaction of upstream: it takes offsets, and no reader sees a record."""
        self.publications.append(Publication(self.at, "lead.changes", self.location, b"never", transaction="aborted"))

    def snapshot(self, revision: int, old: bool = True) -> dict[str, object]:
        created = {"created_at": long_ago} if old else {}
        ids = {"location_id": self.location, "lead_id": self.id, "revision": revision}
        return {**ids, **self._known[revision], **created}

    def _revision_truth(self, revision: int, synced: bool) -> RevisionTruth:
        """Return the fields that HighLevel can fill, and those that Hydrant must have asked for (DESIGN §7.5)."""
        contact, known = self._contact_of[revision], self._known[revision]
        if contact is None:
            return RevisionTruth(contacts=frozenset({known["contact_id"]} if "contact_id" in known else ()))
        gaps = [name for name in hydratable if name not in known]
        fills = {name: contact.fields[name] for name in gaps if name in contact.fields}
        shown_by_search = {
            name: value
            for name, value in fills.items()
            if name != "timezone" and (self.raw_names or name not in name_fields)
        }
        left = {*gaps} - {*shown_by_search}
        must = fills if (left if synced else left & name_fields) else shown_by_search
        link = {"contact_id": contact.id} if known.get("contact_id") != contact.id else {}
        contacts = frozenset({contact.id, known.get("contact_id", contact.id)})
        return RevisionTruth({**link, **fills}, {**link, **must}, contacts)
