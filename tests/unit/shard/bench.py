"""Run a shard with a scripted HighLevel: events go in, results are read back. It has no clock and no network."""

import itertools
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from processor.events.cloudevents import Event, Malformed, Record, decode
from processor.events.contract import EVENTS
from processor.highlevel.contact import Contact, as_time, from_contact, from_search
from processor.highlevel.message import SmsMessage
from processor.highlevel.requests import Call, ExportMessages, GetContact, ListContacts, Search
from processor.highlevel.responses import Exported, Found, Page, Response, ResponseOutcome
from processor.ratelimit.budget import Rate
from processor.shard.inputs import Input, InputPosition
from processor.shard.setup import Setup
from processor.shard.store import Store
from processor.shard.turn import Effects, Shard

start = 1_700_000_000_000
here = "location-1"
Payload = Mapping[str, Any]


def setup(**changes: Any) -> Setup:
    return Setup(**{"partition": 0, "partitions": 1, "worker": "worker-1", "rate": Rate(), **changes})


@dataclass
class Bench:
    """One shard and its world. `now` moves only by a call."""

    setup: Setup = field(default_factory=setup)
    contacts: list[Payload] = field(default_factory=list)  # GET-shaped, as HighLevel holds them
    raw_names: bool = False  # search gives firstNameRaw, lastNameRaw
    now: int = start
    calls: list[Call] = field(default_factory=list)  # granted, not answered yet
    made: list[Call] = field(default_factory=list)  # all that were ever granted
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # topic, value
    rows: dict[str, bytes | None] = field(default_factory=dict)  # the changelog, compacted
    telemetry: list[Any] = field(default_factory=list)
    page: int = 500  # contacts of a scan's page
    pages: list[ListContacts] = field(default_factory=list)  # that were asked for
    messages: list[SmsMessage] = field(default_factory=list)  # as HighLevel holds them
    exports: list[ExportMessages] = field(default_factory=list)  # that were asked for
    wake_at: int | None = None

    def __post_init__(self) -> None:
        self.shard = Shard(Store(sqlite3.connect(":memory:")), self.setup)
        self.offsets = itertools.count()

    def turn(self, *inputs: Input, granting: bool = True) -> Effects:
        effects = self.shard.turn(self.now, inputs, granting)
        self.shard.store.commit(None)
        self.calls += effects.calls
        self.made += effects.calls
        self.records += [(out.topic, orjson.loads(out.value or b"null")) for out in effects.records]
        for topic, value in self.records[len(self.records) - len(effects.records) :]:
            if topic != "dead.letters" and value.get("source") != "test":  # everything we publish validates
                EVENTS[value["type"]].model_validate(value["data"])
        self.rows |= dict(effects.rows)
        self.telemetry += effects.telemetry
        self.wake_at = effects.wake_at
        if effects.rest_of_pages:
            self.turn(*effects.rest_of_pages)
        return effects

    def event(self, kind: str, topic: str = "lead.changes", id: str = "", **data: Any) -> Event | Malformed:
        offset = next(self.offsets)
        data = {name: value for name, value in {"location_id": here, **data}.items() if value is not None}
        envelope = {"specversion": "1.0", "id": id or f"event-{offset}", "source": "test", "type": kind, "data": data}
        event = decode(Record(topic, 0, offset, self.now, here.encode(), orjson.dumps(envelope)))
        assert event is not None
        return event

    def changed(self, lead: str = "lead-1", revision: int = 1, **fields: Any) -> None:
        """A lead that is older than search's lag, unless `created_at` says otherwise."""
        fields = {"created_at": "2020-01-01T00:00:00Z", **fields}
        self.turn(self.event("lead.changed", lead_id=lead, revision=revision, **fields))

    def sync(self, lead_id: str = "lead-1", request: str = "request-1", **fields: Any) -> None:
        """Request it without messages, unless a field says otherwise."""
        fields = {"include_messages": False, **fields}
        self.turn(self.event("sync.lead.requested", "sync.requests", lead_id=lead_id, request_id=request, **fields))

    def later(self, ms: int) -> None:
        """Let time pass. What is due happens on the way; each call gets its response from the contacts after 50 ms."""
        end = self.now + ms
        while True:
            if self.calls and self.now + 50 <= end:
                self.now += 50
                calls, self.calls = self.calls, []
                self.turn(*(answered(call, self.lookup(call)) for call in calls))
            elif self.wake_at is not None and self.wake_at <= end:
                self.now = max(self.now, self.wake_at)
                self.turn()
            else:
                self.now = end
                self.turn()
                return

    def answer(self, outcome: Any = None) -> None:
        """End the calls in flight with this outcome.

        Without one, the contacts give the responses, also of calls that follow within a second.
        """
        if outcome is None:
            self.later(1_000)
            return
        self.now += 50
        calls, self.calls = self.calls, []
        self.turn(*(answered(call, outcome) for call in calls))

    def lookup(self, call: Call) -> ResponseOutcome:
        from processor.highlevel.responses import Gone

        if isinstance(call.request, GetContact):
            found = [contact for contact in self.contacts if contact["id"] == call.request.contact_id]
            contact = from_contact(found[0]) if found else None
            return Found((contact,), 1) if contact else Gone()
        if isinstance(call.request, ListContacts):
            return self.scan(call.request)
        if isinstance(call.request, ExportMessages):
            return self.export(call.request)
        ours = [contact for contact in self.contacts if contact["locationId"] == call.request.location]
        hits = [self.hit(contact) for contact in ours if matches(contact, call.request.values)]
        return Found(tuple(hits[: self.page]), len(hits))

    def scan(self, asked: ListContacts) -> ResponseOutcome:
        """A page of all contacts, as HighLevel sorts and filters them."""
        self.pages.append(asked)
        since = as_time(asked.updated_since) if asked.updated_since is not None else ""
        known = sorted(
            (one["dateAdded"], one["id"], one)
            for one in self.contacts
            if one["dateUpdated"] >= since and one["locationId"] == asked.location
        )
        behind = [one for *place, one in known if asked.after is None or tuple(place) > asked.after]
        shown = behind[: self.page]
        after = (shown[-1]["dateAdded"], shown[-1]["id"]) if shown else None
        hits = tuple(replace(self.hit(one), origin="scan") for one in shown)
        return Page(hits, len(known), len(shown) >= self.page, after)

    def export(self, asked: ExportMessages) -> ResponseOutcome:
        """A page of messages, as HighLevel sorts and filters them. A cursor is the last message's place."""
        self.exports.append(asked)
        start, after = asked.since or 0, asked.cursor.split(" ") if asked.cursor else None
        known = sorted(
            (one.sent, one.id, one)
            for one in self.messages
            if asked.contact in (None, one.contact) and (one.sent >= start or after)
        )
        behind = [one for sent, name, one in known if after is None or (sent, name) > (int(after[0]), after[1])]
        shown = tuple(behind[: self.page])
        more = len(behind) > len(shown)
        return Exported(shown, len(known), f"{shown[-1].sent} {shown[-1].id}" if more else None)

    def sync_all(self, request: str = "job-1", **fields: Any) -> None:
        """Request it without messages, unless a field says otherwise."""
        fields = {"include_messages": False, **fields}
        self.turn(self.event("sync.location.requested", "sync.requests", request_id=request, **fields))

    def cancel(self, request: str = "job-1", **fields: Any) -> None:
        self.turn(self.event("sync.cancel.requested", "sync.requests", request_id=request, **fields))

    def hit(self, contact: Payload) -> Contact:
        """The same contact as a search shows it."""
        shown = {
            name: value
            for name, value in contact.items()
            if name not in ("address1", "timezone", "firstName", "lastName")
        }
        shown["address"] = contact.get("address1")
        for name in ("firstName", "lastName"):
            shown[name] = str(contact.get(name, "")).lower()
            if self.raw_names:
                shown[f"{name}Raw"] = contact.get(name)
        found = from_search(shown)
        assert found is not None
        return found

    def take(self, topic: str = "lead.updates") -> list[dict[str, Any]]:
        """Data of the events published on a topic since the last look."""
        taken = [value["data"] for name, value in self.records if name == topic]
        self.records = [one for one in self.records if one[0] != topic]
        return taken

    def reopened(self, worker: str = "worker-2") -> "Bench":
        """A successor that knows the changelog alone."""
        other = Bench(setup(worker=worker), self.contacts, self.raw_names, self.now)
        other.shard.store.restore(list(self.rows.items()), 1)
        list(other.shard.store.index_restored(self.now))
        other.offsets = self.offsets
        other.turn()
        return other


def answered(call: Call, outcome: Any) -> Response:
    status = {"Lost": None, "Unsent": None, "Throttled": 429, "Refused": 400, "Unavailable": 503, "Unauthorized": 401}
    return Response(call, outcome, status.get(type(outcome).__name__, 200), None, None)


def matches(contact: Payload, values: Iterable[tuple[str, str]]) -> bool:
    given = {"email": str(contact.get("email", "")).lower(), "phone": contact.get("phone"), "id": contact["id"]}
    return any(given[by] == value for by, value in values)


def contact(number: int = 1, **fields: Any) -> Payload:
    """A contact that knows every hydratable field."""
    return {
        "id": f"contact-{number}",
        "locationId": here,
        "email": f"Jane{number}@example.com",
        "phone": f"+1555000{number:04}",
        "firstName": "Jane",
        "lastName": "McDoe",
        "companyName": "Example Ltd",
        "website": "https://example.com",
        "address1": "1 Main Street",
        "city": "Springfield",
        "state": "IL",
        "postalCode": "62701",
        "country": "US",
        "timezone": "America/Chicago",
        "dateAdded": "2024-01-01T00:00:00.000Z",
        "dateUpdated": "2024-02-01T00:00:00.000Z",
        **fields,
    }


whole: dict[str, Any] = {  # the same as our fields
    "email": "jane1@example.com",
    "phone": "+15550000001",
    "first_name": "Jane",
    "last_name": "McDoe",
    "company_name": "Example Ltd",
    "website": "https://example.com",
    "address": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
    "timezone": "America/Chicago",
}


def lacking(*names: str) -> dict[str, Any]:
    return {name: value for name, value in whole.items() if name not in names}


def wanted(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the kinds and values that a search asks for."""
    assert isinstance(call.request, Search)
    return tuple((str(kind), value) for kind, value in call.request.values)


def kinds(calls: Sequence[Call]) -> list[str]:
    return [call.kind for call in calls]


__all__ = [
    "Bench",
    "InputPosition",
    "answered",
    "contact",
    "here",
    "kinds",
    "lacking",
    "matches",
    "setup",
    "start",
    "whole",
]
