"""What must be on `lead.messages`: each message that HighLevel holds of a lead's contact, once, in Hydrant's one shape.

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
from tests.bench.crowd import Crowd
from tests.bench.leads import Json
from tests.bench.stage import Failed

shown_at_most: Final = 3  # of what is wrong

Shown = tuple[str, bytes]  # the lead, and its message's data with sorted keys


def of_crowd(crowd: Crowd, mean: float) -> list[Json]:
    """The data of each event about a lead of it, where each contact has so many SMS on average."""
    found = ((one.id, one.changes["contact_id"]) for one in crowd if one.changes)
    return [
        published(crowd.location, lead, message)
        for lead, contact in found
        for message in synthetic_messages(crowd.location, contact, mean)
        if is_exported(message.type, "SMS")
    ]


def published(location: str, lead: str, message: StoredMessage) -> Json:
    """DESIGN §3: absent is null, types have HighLevel's TYPE_ spelling."""
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


def check_said(told: Iterable[Record], expected: Iterable[Json]) -> None:
    """Raises Failed."""
    if flaws := list(flaws_of(told, expected)):
        raise Failed(f"{len(flaws)} messages are wrong: {'; '.join(flaws[:shown_at_most])}")


def flaws_of(told: Iterable[Record], expected: Iterable[Json], but: Collection[str] = ()) -> Iterator[str]:
    """Lost, told twice, or told though nobody said so, a line each; by id alone, texts stay out of it. `but`: fields of a message
    that may be otherwise."""
    events = (orjson.loads(record.value or b"{}") for record in told)
    had = Counter(key(event["data"], but) for event in events if event.get("type") == "lead.message.imported")
    wanted = Counter(key(data, but) for data in expected)
    twice = [one for one, times in had.items() if times > 1]
    for what, these in (("lost", wanted - had), ("twice", twice), ("not said", had.keys() - wanted.keys())):
        yield from (f"{lead}: {orjson.loads(data)['message']['id']} {what}" for lead, data in these)


def key(data: Mapping[str, Any], but: Collection[str]) -> Shown:
    said = {name: value for name, value in data["message"].items() if name not in but}
    return data["lead_id"], orjson.dumps({**data, "message": said}, option=orjson.OPT_SORT_KEYS)
