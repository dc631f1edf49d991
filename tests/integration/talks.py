"""Make up SMS whose texts are canaries: as HighLevel holds them, and as they must be published. No text is real."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from processor.events.cloudevents import Record
from processor.sandbox.json_values import iso_time
from processor.sandbox.stored_message import StoredMessage, is_exported, message_json, parse_stored_message
from tests.bench import message_checks
from tests.bench.leads import contact_id
from tests.integration.canaries import Lead
from tests.integration.judge import data
from tests.lab.harness.sandbox import SandboxProcess

page: Final = 500  # messages that an export gives at most (contract.md §5.1)
since_ms: Final = 1_750_000_000_000
apart_ms: Final = 600_000
types: Final = ("TYPE_SMS", "SMS", "TYPE_SMS", "TYPE_CAMPAIGN_SMS", "TYPE_RCS", "TYPE_SMS_SOMETHING_NEW")
call_every: Final = 10  # SMS: a call, which is none

LeadMessage = tuple[Lead, StoredMessage]  # a lead, and a message of its contact


def talk(lead: Lead, count: int, since: int = 0) -> list[LeadMessage]:
    """Make so many SMS of the lead's contact, from number `since` on, and calls among them."""
    return [(lead, message) for message in _talk(lead, range(since, since + count))]


def _talk(lead: Lead, numbers: range) -> Iterator[StoredMessage]:
    contact = contact_id(lead.number)
    for each in numbers:
        shown: dict[str, Any] = {
            "contactId": contact,
            "dateAdded": iso_time(since_ms + each * apart_ms + lead.number % 1_000),
            "messageType": types[each % len(types)],
            "direction": ("inbound", "outbound")[each % 2],
            "body": f"Canary wrote {each} to canary.mail.{lead.number}@example.com",
            "status": "delivered",
            "attachments": ["https://files.example.com/canary.png"] if each % 7 == 0 else [],
        }
        shown |= {"source": "app", "userId": "user-1"} if each % 2 else {}
        yield parse_stored_message(lead.location, shown, since_ms, f"sms-{contact}-{each}")
        if each % call_every == 0:
            called = {**shown, "messageType": "TYPE_CALL", "body": None}
            yield parse_stored_message(lead.location, called, since_ms, f"call-{contact}-{each}")


def add_messages(highlevel: SandboxProcess, talks: Iterable[LeadMessage]) -> None:
    """Add these to HighLevel."""
    highlevel.add_messages((message.location, message_json(message)) for _, message in talks)


def chatter_of(highlevel: SandboxProcess, leads: Collection[Lead]) -> list[LeadMessage]:
    """Return the messages that contacts of these leads, of one location, wrote by themselves meanwhile."""
    by_contact, (location,) = {contact_id(lead.number): lead for lead in leads}, {lead.location for lead in leads}
    new = [one["message"] for one in highlevel.chatter(location) if one["kind"] != "status"]
    return [
        (by_contact[one["contactId"]], parse_stored_message(location, one, 0, one["id"]))
        for one in new
        if one["contactId"] in by_contact
    ]


def sms(talks: Iterable[LeadMessage]) -> list[Mapping[str, Any]]:
    """Return the data of the events that must be published for these."""
    return [
        message_checks.imported_message(lead.location, lead.id, message)
        for lead, message in talks
        if is_exported(message.type, "SMS")
    ]


def imported(records: Sequence[Record], location: str) -> int:
    """Count the messages of a location that are published by now."""
    return sum(one["location_id"] == location for one in data(records, "lead.messages", "lead.message.imported"))


def wrong_messages(records: Sequence[Record], talks: Iterable[LeadMessage], but: Collection[str] = ()) -> list[str]:
    """Return what is lost, repeated or wrong. Fields in `but` may differ."""
    return list(message_checks.message_flaws([one for one in records if one.topic == "lead.messages"], sms(talks), but))


def sync_results(records: Sequence[Record], request: str) -> list[tuple[str, str, int, bool]]:
    """Return outcome, outcome of messages, their number and `lead_updated` of each result of a Sync."""
    results = data(records, "lead.updates", "lead.synced")
    named = [one for one in results if any(cause.get("request_id") == request for cause in one["causes"])]
    return [(one["outcome"], one["messages"], one["messages_imported"], one["lead_updated"]) for one in named]
