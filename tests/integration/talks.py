"""Made-up SMS whose texts are canaries: as HighLevel holds them, and so what must be told of them. Nobody's words."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from processor.events.cloudevents import Record
from processor.sandbox.json_values import iso_time
from processor.sandbox.stored_message import StoredMessage, is_exported, message_json, parse_stored_message
from tests.bench import said
from tests.bench.leads import contact_id
from tests.integration.canaries import Lead
from tests.integration.judge import data
from tests.integration.stage import HighLevel
from tests.lab.demo.stage import ask

page: Final = 500  # messages that an export gives at most (contract.md §5.1)
since_ms: Final = 1_750_000_000_000
apart_ms: Final = 600_000
types: Final = ("TYPE_SMS", "SMS", "TYPE_SMS", "TYPE_CAMPAIGN_SMS", "TYPE_RCS", "TYPE_SMS_SOMETHING_NEW")
call_every: Final = 10  # SMS: a call, which is none
at_once: Final = 5_000  # messages that HighLevel is told of

Said = tuple[Lead, StoredMessage]  # a lead, and a message of its contact


def talk(lead: Lead, count: int, since: int = 0) -> list[Said]:
    """So many SMS of the lead's contact, from number `since` on, and calls among them."""
    return [(lead, message) for message in _talk(lead, range(since, since + count))]


def _talk(lead: Lead, numbers: range) -> Iterator[StoredMessage]:
    contact = contact_id(lead.number)
    for each in numbers:
        shown: dict[str, Any] = {
            "contactId": contact,
            "dateAdded": iso_time(since_ms + each * apart_ms + lead.number % 1_000),
            "messageType": types[each % len(types)],
            "direction": ("inbound", "outbound")[each % 2],
            "body": f"Canary said {each} to canary.mail.{lead.number}@example.com",
            "status": "delivered",
            "attachments": ["https://files.example.com/canary.png"] if each % 7 == 0 else [],
        }
        shown |= {"source": "app", "userId": "user-1"} if each % 2 else {}
        yield parse_stored_message(lead.location, shown, since_ms, f"sms-{contact}-{each}")
        if each % call_every == 0:
            called = {**shown, "messageType": "TYPE_CALL", "body": None}
            yield parse_stored_message(lead.location, called, since_ms, f"call-{contact}-{each}")


def say(highlevel: HighLevel, talks: Iterable[Said]) -> None:
    """HighLevel has these from now on."""
    rows = [{"location_id": message.location, "message": message_json(message)} for _, message in talks]
    for first in range(0, len(rows), at_once):
        ask(f"{highlevel.url}/_sandbox/messages", "POST", rows[first : first + at_once])


def chattered(highlevel: HighLevel, leads: Collection[Lead]) -> list[Said]:
    """What was said meanwhile by contacts of these leads, of one location."""
    of, (location,) = {contact_id(lead.number): lead for lead in leads}, {lead.location for lead in leads}
    sayings = ask(f"{highlevel.url}/_sandbox/chatter?location={location}")["sayings"]
    new = [one["message"] for one in sayings if one["kind"] != "status"]
    return [
        (of[one["contactId"]], parse_stored_message(location, one, 0, one["id"]))
        for one in new
        if one["contactId"] in of
    ]


def sms(talks: Iterable[Said]) -> list[Mapping[str, Any]]:
    """The data of the events that must be told of these."""
    return [
        said.published(lead.location, lead.id, message) for lead, message in talks if is_exported(message.type, "SMS")
    ]


def imported(told: Sequence[Record], location: str) -> int:
    """Messages of a location, told by now."""
    return sum(one["location_id"] == location for one in data(told, "lead.messages", "lead.message.imported"))


def wrong_messages(told: Sequence[Record], talks: Iterable[Said], but: Collection[str] = ()) -> list[str]:
    """Of all leads: lost, twice, or not as they were said. `but`: fields that may be otherwise."""
    return list(said.flaws_of([one for one in told if one.topic == "lead.messages"], sms(talks), but))


def claims(told: Sequence[Record], request: str) -> list[tuple[str, str, int, bool]]:
    """Of the results of a Sync: outcome, what became of messages, how many came, and whether the lead has changed."""
    results = data(told, "lead.updates", "lead.synced")
    named = [one for one in results if any(cause.get("request_id") == request for cause in one["causes"])]
    return [(one["outcome"], one["messages"], one["messages_imported"], one["lead_updated"]) for one in named]
