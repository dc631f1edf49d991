"""What can't be heard here: an event of another partition is sent home, one that no retry cures is buried (DESIGN §2)."""

from typing import Final

from processor.events.cloudevents import Event, Malformed, Record, dead_letter, request_ids
from processor.shard.lead import Lead
from processor.shard.request import Request
from processor.shard.result import emit, publish
from processor.shard.setup import Setup
from processor.shard.state import Changes, Out
from processor.telemetry.catalogue import EventDeadLettered, EventForwarded
from processor.topics import home, prefixed

rehomed: Final = "hydrant-rehomed"


def rehome(changes: Changes, setup: Setup, event: Event, location: str, now: int) -> None:
    """An event of a location that lives elsewhere: sent home once, buried when it strays again."""
    record = event.record
    if any(name == rehomed for name, _ in record.headers):
        strayed = f"{event.type}: strayed a second time"
        bury(changes, setup, Malformed("misrouted", strayed, record, request_ids(event)), now)
        return
    there = home(location, setup.partitions)
    headers = (*record.headers, (rehomed, b"1"))
    changes.records.append(Out(record.topic, location.encode(), record.value, headers, there, record.timestamp_ms))
    changes.notes.append(EventForwarded(record.topic, record.partition, record.offset, there))


def bury(changes: Changes, setup: Setup, malformed: Malformed, now: int) -> None:
    """What no retry cures goes to the dead letters; a request whose ids can be read is answered all the same."""
    record = malformed.record
    key, value, headers = dead_letter(malformed, prefixed(setup.prefix, record.topic), now)
    changes.records.append(Out("dead.letters", key or b"", value, tuple(headers)))
    buried = EventDeadLettered(malformed.reason, malformed.detail, record.topic, record.partition, record.offset)
    changes.notes.append(buried)
    if malformed.request is not None:
        refuse(changes, malformed, record, now)


def refuse(changes: Changes, malformed: Malformed, record: Record, now: int) -> None:
    """Answer a request that can't be served: `failed`, once."""
    ids, reason = malformed.request, "internal_error" if malformed.reason == "internal_error" else "invalid"
    if ids is None:
        return
    if ids.lead_id is None:
        data: dict[str, object] = {"request_id": ids.request_id, "location_id": ids.location_id, "reason": reason}
        unique = f"{ids.request_id}:{record.topic}:{record.offset}"
        about, source = ids.location_id or ids.request_id, None if ids.location_id else record.partition
        emit(changes, "sync.progress", "sync.failed", about, ids.request_id, unique, data, now, source)
    elif ids.location_id and Request.of(changes, ids.location_id, ids.lead_id, ids.request_id) is None:
        lead = Lead.of(changes, ids.location_id, ids.lead_id)
        request = Request(ids.location_id, ids.lead_id, ids.request_id, ids.event_id or "", record.timestamp_ms)
        changes.hold(request, None)
        publish(changes, lead, "failed", reason, now, requests=[request])
