"""What went wrong, a line each, by what a `read_committed` reader of the output topics sees. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from processor.events.cloudevents import Record
from tests.integration.canaries import Lead, marks


def data(records: Iterable[Record], topic: str, kind: str) -> list[dict[str, Any]]:
    events = (orjson.loads(record.value or b"{}") for record in records if record.topic == topic)
    return [event["data"] for event in events if event.get("type") == kind]


def wrong(known: Collection[Lead], told: Sequence[Record]) -> Iterator[str]:
    """Lost, or with another end than the generator's person has."""
    last = {(one["location_id"], one["lead_id"]): one for one in data(told, "lead.updates", "lead.synced")}
    for lead in known:
        result = last.get((lead.location, lead.id))
        if result is None:
            yield f"{lead.id} is lost"
        elif (result["outcome"], result["changes"]) != ("updated", lead.gained):
            yield f"{lead.id} is wrong: {result['outcome']}, {result['reason']}, {sorted(result['changes'])}"


def repeated(told: Sequence[Record]) -> Iterator[str]:
    """Twice what may be there once, or out of order."""
    yield from disordered(told)
    yield from doubled(told)


def disordered(told: Sequence[Record]) -> Iterator[str]:
    """Results of a lead that a reader, who keeps the last one, would take for older than one that he had."""
    sequences: dict[tuple[str, str], int] = {}
    for one in data(told, "lead.updates", "lead.synced"):
        lead = one["location_id"], one["lead_id"]
        if one["sequence"] <= sequences.get(lead, -1):
            yield f"{lead[1]}: sequence {one['sequence']} comes after {sequences[lead]}"
        sequences[lead] = one["sequence"]


def doubled(told: Sequence[Record]) -> Iterator[str]:
    """Events that more than one result of a lead answers."""
    results = data(told, "lead.updates", "lead.synced")
    causes = Counter((one["lead_id"], cause["id"]) for one in results for cause in one["causes"])
    yield from (f"{lead}: {number} results by {cause}" for (lead, cause), number in causes.items() if number > 1)


def unanswered(requests: Collection[str], told: Sequence[Record]) -> Iterator[str]:
    """Syncs that weren't answered just once on both topics, or that nobody asked for."""
    results = data(told, "lead.updates", "lead.synced")
    causes = [cause for one in results for cause in one["causes"]]
    named = Counter(cause["request_id"] for cause in causes if cause["type"] == "sync.lead.requested")
    answers = Counter(one["request_id"] for one in data(told, "sync.progress", "sync.answered"))
    for request in sorted({*requests, *named, *answers}):
        if (named[request], answers[request]) != ((1, 1) if request in requests else (0, 0)):
            yield f"{request}: {named[request]} results and {answers[request]} answers"


def leaked(told: Sequence[Record], said: Mapping[str, str]) -> Iterator[str]:
    """Personal data outside of payloads."""
    for record in told:
        outside = repr((record.key, record.headers)).lower()
        yield from (f"{record.topic} {record.offset}: {mark} in a header" for mark in marks if mark in outside)
    for name, text in said.items():
        yield from (f"{name} told of {mark}" for mark in marks if mark in text.lower())
