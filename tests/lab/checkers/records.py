"""Check records rather than leads: dead letters, forwarded and copied records, the contract, and that all work ends."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import orjson

from processor.events.contract import EVENTS
from processor.topics import INPUT_TOPICS, home
from tests.lab.history import Data, History
from tests.lab.workload.times import never

read_requests: Final = frozenset({"GET", "POST /contacts/search", "search", "contact", "messages"})


def dead_lettered(history: History) -> Iterator[str]:
    """Each malformed record is in dead.letters exactly once, unchanged, with its reason; no other record is."""
    expected = {place: one for place, one in history.publications.items() if one.dead_letter}
    seen: Counter[tuple[str, int, int]] = Counter()
    for letter in history.of_topic("dead.letters"):
        headers = {name: value.decode() for name, value in letter.headers if name.startswith("hydrant-")}
        topic = headers["hydrant-topic"].removeprefix(history.prefix)
        place = topic, int(headers["hydrant-partition"]), int(headers["hydrant-offset"])
        seen[place] += 1
        one, reason = expected.get(place), headers["hydrant-reason"]
        if one is None or (one.dead_letter, one.value, one.key.encode()) != (reason, letter.value, letter.key):
            yield f"{place} was dead-lettered as {reason}: {headers['hydrant-detail']}"
    yield from (f"{place} was dead-lettered {seen[place]} times" for place in expected if seen[place] != 1)


def forwarded_home(history: History) -> Iterator[str]:
    """Each misrouted record is on its home partition exactly once, unchanged."""
    misrouted = [(one.topic, one.value) for one in history.publications.values() if one.misrouted]
    found = [
        (topic, record.value, where == home((record.key or b"").decode(), history.workload.partitions))
        for (topic, where), records in history.records.items()
        if topic in INPUT_TOPICS
        for record in records
        if (topic, where, record.offset) not in history.publications
        and not any(name == "hydrant-fanned-out" for name, _ in record.headers)
    ]
    if Counter(found) != Counter((topic, value, True) for topic, value in misrouted):
        yield f"{len(misrouted)} misrouted records, {len(found)} were forwarded home"


def copied_to_all(history: History) -> Iterator[str]:
    """A request without location is copied to every other partition, once for each time that it was published."""
    expected: Counter[tuple[str, str]] = Counter()
    for one in history.publications.values():
        if one.topic == "sync.requests" and one.event and not one.dead_letter:
            event = None if any(name == "ce_type" for name, _ in one.headers) else orjson.loads(one.value or b"null")
            if event and event["data"].get("location_id") is None:
                expected[event["type"], event["data"]["request_id"]] += 1
    copies: Counter[tuple[str, str]] = Counter()
    for where in range(history.workload.partitions):
        for record in history.in_partition("sync.requests", where):
            if any(name == "hydrant-fanned-out" for name, _ in record.headers):
                event = orjson.loads(record.value or b"null")
                copies[event["type"], event["data"]["request_id"]] += 1
    for kind, request in expected | copies:
        if copies[kind, request] != expected[kind, request] * (history.workload.partitions - 1):
            yield f"{kind} of {request} was copied {copies[kind, request]} times"


def no_contact_made(history: History) -> Iterator[str]:
    """Only searches, exports and GETs ever arrive."""
    yield from (f"{one.what} arrived" for one in history.arrivals if one.what not in read_requests)


def contract(history: History) -> Iterator[str]:
    """All published events are valid by the contract."""
    for topic in ("lead.updates", "lead.messages", "sync.progress", "location.status"):
        for event in history.events(topic):
            try:
                EVENTS[event.kind].model_validate(event.data)
            except ValueError as error:
                yield f"{event.kind}: {error}"


def all_done(history: History) -> Iterator[str]:
    """Once faults stop, no lead has open work, no request waits, all input is read, and each location is ok."""
    yield from not_ok(history)
    for key, document in history.documents.items():
        if key.startswith("lead ") and "work" in document:
            yield f"{key}: still open"
        if key.startswith("request ") and "answered" not in document:
            yield f"{key}: still waits"
    for topic in ("lead.changes", "sync.requests"):
        for partition in history.workload.owned:
            records = history.in_partition(topic, partition)
            read = int(history.documents.get(f"{partition} position {topic}", 0))
            if records and read <= records[-1].offset:
                yield f"{topic} {partition}: not read to its end"


def not_ok(history: History) -> Iterator[str]:
    """Report the locations whose last status isn't ok, or has work queued."""
    for status in {data["location_id"]: data for data in history.data("location.status")}.values():
        if status["queued"] or (status["state"] != "ok" and not may_stay_down(history, status)):
            yield f"{status['location_id']}: {status['queued']} queued, {status['state']}"


def may_stay_down(history: History, status: Data) -> bool:
    """True if only a call could tell that the fault is over, and there may be no call to make."""
    location = status["location_id"]
    if status["state"] == "unavailable":
        poisoned = any(lead.poison and lead.location == location for lead in history.workload.leads)
        return bool(history.faults.outages_of(location)) or poisoned
    return any(one.renewed == never for one in history.faults.refusals_of(location))


def no_work_left(history: History) -> Iterator[str]:
    """The state holds no job that isn't over, and no lead that waits for one."""
    documents: dict[str, Any] = history.documents
    for key, document in documents.items():
        kind = key.split(" ")[0]
        if kind in ("job", "backfill") and document.get("stage") != "over":
            yield f"{key}: {document.get('stage')}"
        if kind == "lead" and document.get("work", {}).get("jobs"):
            yield f"{key}: still waited for by {document['work']['jobs']}"
