"""How upstream writes the demo's events: CloudEvents 1.0 as JSON, structured or now and then binary (DESIGN §2)."""

from datetime import UTC, datetime
from typing import Final

import orjson

from tests.lab.demo.truth import Message, Payload

source: Final = "urn:demo:upstream"
topic_of: Final = {
    "lead.changed": "lead.changes",
    "lead.deleted": "lead.changes",
    "sync.lead.requested": "sync.requests",
    "sync.location.requested": "sync.requests",
}


def event(type: str, data: Payload, id: str, subject: str, now_ms: int, binary: bool = False) -> Message:
    """An event about the location of its data."""
    location = str(data["location_id"])
    attributes = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "time": moment(now_ms),
        "subject": subject,
        "partitionkey": location,
    }
    if binary:
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        return Message(topic_of[type], location, orjson.dumps(data), (*headers, ("content-type", b"application/json")))
    return Message(
        topic_of[type], location, orjson.dumps(attributes | {"datacontenttype": "application/json", "data": data})
    )


def moment(ms: int) -> str:
    """Ms since 1970 in RFC 3339, UTC."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
