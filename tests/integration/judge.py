"""Find what went wrong, a line each, by what a `read_committed` reader of the output topics sees. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from processor.events.cloudevents import Record
from tests.integration.canaries import Lead, marks


def data(records: Iterable[Record], topic: str, kind: str) -> list[dict[str, Any]]:
    """Return the data of each event of a type, in each partition in order."""
    events = (orjson.loads(record.value or b"{}") for record in records if record.topic == topic)
    return [event["data"] for event in events if event.get("type") == kind]


def wrong(leads: Collection[Lead], records: Sequence[Record]) -> Iterator[str]:
    """Yield leads that are lost, or whose last result differs from the generator's truth."""
    last = {(one["location_id"], one["lead_id"]): one for one in data(records, "lead.updates", "lead.synced")}
    for lead in leads:
        result = last.get((lead.location, lead.id))
        if result is None:
            yield f"{lead.id} is lost"
        elif (result["outcome"], result["changes"]) != ("updated", lead.gained):
            yield f"{lead.id} is wrong: {result['outcome']}, {result['reason']}, {sorted(result['changes'])}"


def repeated(records: Sequence[Record]) -> Iterator[str]:
    """Yield what is there twice but may be there once, or is out of order."""
    yield from disordered(records)
    yield from doubled(records)


def disordered(records: Sequence[Record]) -> Iterator[str]:
    """Yield results whose sequence isn't above that of the lead's result before."""
    sequences: dict[tuple[str, str], int] = {}
    for one in data(records, "lead.updates", "lead.synced"):
        lead = one["location_id"], one["lead_id"]
        if one["sequence"] <= sequences.get(lead, -1):
            yield f"{lead[1]}: sequence {one['sequence']} comes after {sequences[lead]}"
        sequences[lead] = one["sequence"]


def doubled(records: Sequence[Record]) -> Iterator[str]:
    """Yield events that more than one result of a lead names as a cause."""
    results = data(records, "lead.updates", "lead.synced")
    causes = Counter((one["lead_id"], cause["id"]) for one in results for cause in one["causes"])
    yield from (f"{lead}: {number} results by {cause}" for (lead, cause), number in causes.items() if number > 1)


def unanswered(requests: Collection[str], records: Sequence[Record]) -> Iterator[str]:
    """Yield Syncs without exactly one result and one answer, and results and answers of unknown requests."""
    results = data(records, "lead.updates", "lead.synced")
    causes = [cause for one in results for cause in one["causes"]]
    named = Counter(cause["request_id"] for cause in causes if cause["type"] == "sync.lead.requested")
    answers = Counter(one["request_id"] for one in data(records, "sync.progress", "sync.answered"))
    for request in sorted({*requests, *named, *answers}):
        if (named[request], answers[request]) != ((1, 1) if request in requests else (0, 0)):
            yield f"{request}: {named[request]} results and {answers[request]} answers"


def leaked(records: Sequence[Record], written: Mapping[str, str]) -> Iterator[str]:
    """Yield personal data in keys, headers, and `written`: the logs and metrics of each worker."""
    for record in records:
        outside = repr((record.key, record.headers)).lower()
        yield from (f"{record.topic} {record.offset}: {mark} in a header" for mark in marks if mark in outside)
    for name, text in written.items():
        yield from (f"{name} wrote {mark}" for mark in marks if mark in text.lower())
