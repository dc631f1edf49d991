"""The tale of one lead: what upstream says of it, whom HighLevel knows, and what must come of it, by the teller's own
knowledge."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Final

import orjson

from .loop import start_ms

Fields = Mapping[str, str]
Said = tuple[str, str | None]  # outcome and reason

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
names: Final = frozenset(
    {"first_name", "last_name"}
)  # the gaps that alone justify a GET, and what search shows lower-cased
long_ago: Final = "2024-01-01T00:00:00.000Z"
added_ms: Final = 1_600_000_000_000  # contacts were added then, one after the other
never: Final = 10**12
missing: Final[Said] = ("not_found", "no_contact")


@dataclass(frozen=True, slots=True)
class Edit:
    """A contact has other fields from then on."""

    at: int  # ms after the world's start
    fields: Fields


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as HighLevel holds it."""

    id: str
    location: str
    fields: Fields  # by our names
    updated: str = "2025-02-01T00:00:00.000Z"
    since: int = 0  # ms after the world's start: a GET knows it from then on
    indexed: int = 0  # and search from then on
    gone: bool = False
    added: int = added_ms  # its dateAdded, ms since 1970
    others: tuple[str, ...] = ()  # additional e-mails, which no search can filter
    edits: tuple[Edit, ...] = ()
    until: int = never  # it is deleted then
    lag: int = 0  # search hears of edits and the deletion so much later

    def shown(self, ms: int) -> "Person | None":
        """As a GET shows it then."""
        return self._as_of(ms) if not self.gone and self.since <= ms < self.until else None

    def found(self, ms: int) -> "Person | None":
        """As search shows it then."""
        there = not self.gone and self.indexed <= ms < self.until + self.lag
        return self._as_of(ms - self.lag) if there else None

    def versions(self) -> Iterator[Fields]:
        yield self.fields
        yield from (edit.fields for edit in self.edits)

    def _as_of(self, ms: int) -> "Person":
        done = [edit for edit in self.edits if edit.at <= ms]
        return replace(self, fields=done[-1].fields, updated=iso(time(done[-1].at))) if done else self


@dataclass(frozen=True, slots=True)
class Publication:
    at: int  # ms after the world's start
    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None  # CreateTime, ms after the world's start; None: `at`
    transaction: str | None = None  # committed | aborted: upstream writes it in one, whose end takes an offset too
    event: str | None = None  # its id, if it is a valid event of ours
    buried: str | None = None  # the reason why it must end in dead.letters
    strays: bool = False  # its location lives elsewhere
    partition: int | None = None  # where upstream publishes it; None: at home
    late_ms: int = 0  # upstream was held up for so long
    repeats: bool = False  # another one's delivery, once more


@dataclass(slots=True)
class Revision:
    """What may and what must be learned of a lead as this revision shows it."""

    may: Fields = field(default_factory=dict)
    must: Fields = field(default_factory=dict)
    contacts: frozenset[str] = frozenset()  # whom it may be linked to
    also: frozenset[tuple[str, str]] = frozenset()  # further fields that it may be told: contacts change


@dataclass(slots=True)
class Truth:
    """What must come of a lead. `last`: outcomes that its last result may have; None: there need not be one."""

    revisions: dict[int, Revision] = field(default_factory=dict)
    last: frozenset[str | None] = frozenset({None})
    requests: dict[str, frozenset[Said]] = field(default_factory=dict)  # request id → how it may be answered
    asked: dict[str, int] = field(default_factory=dict)  # request id → when, ms after the world's start
    replaces: str | None = None  # a dead link that must go
    repeats: frozenset[str] = frozenset()  # event ids that the contract lets two results name
    excused: frozenset[Said] = frozenset()  # further answers, after an outage of seconds
    known: int = never  # ms after the world's start, when upstream told of it
    deleted: int | None = None  # ms after the world's start, and that it is gone
    job: frozenset[str] = frozenset()  # outcomes that it may have in a job; none: it is no lead of any
    findable: tuple[int, int] | None = None  # from when to when search would find its contact; None: nobody can tell
    vanishes: int | None = None  # when search has heard that its contact is deleted; no page says so

    @property
    def revision(self) -> int | None:
        return max(self.revisions, default=None)


@dataclass
class Tale:
    seed: int | str
    number: int
    location: str
    raw_names: bool  # search shows names as entered
    begins: int  # ms after the world's start
    kind: str = ""
    publications: list[Publication] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    truth: Truth = field(default_factory=Truth)
    poison: set[str] = field(default_factory=set)  # what makes a search fail
    lasts: int = 60_000  # ms, so long contacts and leads change while jobs run
    one_identity: bool = True  # it never changes whom it is looked up by, nor when

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} tale {self.number}")
        self.at = self.begins
        self.lead = f"lead-{self.number}"
        self._people: dict[int, Person | None] = {}  # by revision: whose contact it is
        self._given: dict[int, Fields] = {}

    # what HighLevel knows

    def person(self, lacks: Iterable[str] = (), **changes: object) -> Person:
        """A contact like no other, unless told."""
        number = f"{self.number}.{len(self.people)}"
        digits = f"{self.number:05}{len(self.people):02}"
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
        changes.setdefault("added", added_ms + self.number * 1_000 + len(self.people))
        fields = {name: str(changes.pop(name, value)) for name, value in known.items() if name not in lacks}
        person = replace(Person(f"contact-{number}", self.location, fields), **changes)  # type: ignore[arg-type]  # by name
        self.people.append(person)
        return person

    # what upstream says

    def later(self, least: int, most: int) -> None:
        self.at += self.random.randint(least, most)

    def change(self, revision: int, given: Fields, person: Person | None, old: bool = True, **more: object) -> None:
        """A snapshot of the lead, whose contact is `person`."""
        self.is_so(revision, given, person)
        self.truth.known = min(self.truth.known, self.at)
        self.publish("lead.changes", "lead.changed", self.snapshot(revision, old) | more)

    def is_so(self, revision: int, given: Fields, person: Person | None) -> None:
        self._people[revision], self._given[revision] = person, given
        self.truth.revisions[revision] = self._known(revision, asked=False)

    def again(self, revision: int) -> None:
        """The same snapshot once more, from an upstream that delivers at least once."""
        self.publish("lead.changes", "lead.changed", self.snapshot(revision))

    def delete(self, revision: int) -> None:
        self.truth.revisions[revision] = Revision()
        self.truth.deleted = self.at
        self.publish("lead.changes", "lead.deleted", {"lead_id": self.lead, "revision": revision})

    def sync(self, request: str, *said: Said, late: bool = False, **more: object) -> None:
        """Someone asks, for no messages unless told. Answered in one of these ways, or else in one that the last outcome allows."""
        ours = {(one, reason) for one in self.truth.last if one for reason in reasons.get(one, (None,))}
        self.truth.requests.setdefault(request, frozenset(said) or frozenset(ours))
        self.truth.asked.setdefault(request, self.at)
        timestamp = self.at - 200_000 if late else None
        named = {"lead_id": self.lead, "request_id": request, "include_messages": False, **more}
        self.publish("sync.requests", "sync.lead.requested", named, timestamp)
        if late and "lead" in more:
            self.truth.repeats |= {str(self.publications[-1].event)}
        if self.one_identity and not late:
            self.truth.revisions |= {revision: self._known(revision, asked=True) for revision in self._people}

    def publish(self, topic: str, kind: str, data: Mapping[str, object], timestamp: int | None = None) -> None:
        event = f"event-{self.number}-{len(self.publications)}"
        envelope = {"specversion": "1.0", "id": event, "source": "upstream", "type": kind}
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

    def abort(self) -> None:
        """A transaction of upstream's that comes to nothing: offsets without a record."""
        self.publications.append(Publication(self.at, "lead.changes", self.location, b"never", transaction="aborted"))

    def snapshot(self, revision: int, old: bool = True) -> dict[str, object]:
        created = {"created_at": long_ago} if old else {}
        named = {"location_id": self.location, "lead_id": self.lead, "revision": revision}
        return {**named, **self._given[revision], **created}

    def _known(self, revision: int, asked: bool) -> Revision:
        """What HighLevel tells of this lead, and how much of it must have been asked for (DESIGN §7.5)."""
        person, given = self._people[revision], self._given[revision]
        if person is None:
            return Revision(contacts=frozenset({given["contact_id"]} if "contact_id" in given else ()))
        gaps = [name for name in hydratable if name not in given]
        all_of_it = {name: person.fields[name] for name in gaps if name in person.fields}
        shown = {
            name: value
            for name, value in all_of_it.items()
            if name != "timezone" and (self.raw_names or name not in names)
        }
        left = {*gaps} - {*shown}
        enough = all_of_it if (left if asked else left & names) else shown
        link = {"contact_id": person.id} if given.get("contact_id") != person.id else {}
        contacts = frozenset({person.id, given.get("contact_id", person.id)})
        return Revision({**link, **all_of_it}, {**link, **enough}, contacts)


reasons: Final[Mapping[str, tuple[str | None, ...]]] = {
    "not_found": ("no_contact",),
    "ambiguous": ("different_phones",),
    "updated": (None,),
    "unchanged": (None,),
}


def time(ms: int) -> int:
    """Ms since 1970 of a moment of this world."""
    return start_ms + ms


def iso(ms: int) -> str:
    """Ms since 1970 as HighLevel writes a time."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
