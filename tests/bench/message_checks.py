"""Check that `lead.messages` has each message that HighLevel holds of a lead's contact, once, in Hydrant's shape.

From the sandbox's own messages; whole values are compared, so a message with another text, time or contact is a wrong one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record
from processor.sandbox.json_values import iso_time
from processor.sandbox.stored_message import StoredMessage, canonical_type, is_exported
from processor.sandbox.synthetic_messages import synthetic_messages
from tests.bench.leads import Json
from tests.bench.population import Population
from tests.bench.testbed import BenchFailed

shown_at_most: Final = 3  # of what is wrong

LeadMessage = tuple[str, bytes]  # the lead, and its message's data with sorted keys


def messages_of(population: Population, mean: float) -> list[Json]:
    """Return the data of each event about its leads, whose contacts have so many SMS on average."""
    found = ((one.id, one.changes["contact_id"]) for one in population if one.changes)
    return [
        imported_message(population.location, lead, message)
        for lead, contact in found
        for message in synthetic_messages(population.location, contact, mean)
        if is_exported(message.type, "SMS")
    ]


def imported_message(location: str, lead: str, message: StoredMessage) -> Json:
    """Return the data of an event (DESIGN §3): absent is null, types have HighLevel's TYPE_ spelling."""
    shown = {
        "id": message.id,
        "direction": message.direction,
        "type": canonical_type(message.type),
        "body": message.body,
        "status": message.status,
        "sent_at": iso_time(message.added),
        "conversation_id": message.conversation,
        "attachments": [*message.attachments],
        "source": message.source,
        "user_id": (message.extra or {}).get("userId"),
    }
    return {"location_id": location, "lead_id": lead, "contact_id": message.contact, "message": shown}


def check_messages(records: Iterable[Record], expected: Iterable[Json]) -> None:
    """Raise BenchFailed if a message is wrong."""
    if flaws := list(message_flaws(records, expected)):
        raise BenchFailed(f"{len(flaws)} messages are wrong: {'; '.join(flaws[:shown_at_most])}")


def message_flaws(records: Iterable[Record], expected: Iterable[Json], but: Collection[str] = ()) -> Iterator[str]:
    """Yield a line for each message that is lost, repeated or unexpected, by its id alone. Fields in `but` may differ."""
    events = (orjson.loads(record.value or b"{}") for record in records)
    found = Counter(key(event["data"], but) for event in events if event.get("type") == "lead.message.imported")
    wanted = Counter(key(data, but) for data in expected)
    repeated = [message for message, times in found.items() if times > 1]
    for what, these in (("lost", wanted - found), ("repeated", repeated), ("unexpected", found.keys() - wanted.keys())):
        yield from (f"{lead}: {orjson.loads(data)['message']['id']} {what}" for lead, data in these)


def key(data: Mapping[str, Any], but: Collection[str]) -> LeadMessage:
    shown = {name: value for name, value in data["message"].items() if name not in but}
    return data["lead_id"], orjson.dumps({**data, "message": shown}, option=orjson.OPT_SORT_KEYS)
