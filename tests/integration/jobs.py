"""Jobs as whoever asks for them sees them, and what went wrong with them, a line each: by the output topics alone. Pure."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record, encode
from processor.shard.store import OutRecord
from tests.integration.judge import data
from tests.integration.residents import Resident

Json = dict[str, Any]
Course = list[tuple[str, Json]]  # what was told of a job, in order: `started`, …, and its data
begin_and_end: Final = ("started", "completed", "failed", "cancelled")
page: Final = 500  # contacts that a search gives at most (contract.md §4.1)


def sync_all(location: str, request: str, messages: bool = False) -> OutRecord:
    return requested("sync.location.requested", request, location, include_messages=messages)


def backfill(request: str) -> OutRecord:
    return requested("sync.backfill.requested", request)


def cancel(location: str, request: str) -> OutRecord:
    return requested("sync.cancel.requested", request, location)


def requested(kind: str, request: str, location: str | None = None, **more: object) -> OutRecord:
    told = {"request_id": request, **({"location_id": location} if location else {}), **more}
    key, unique = location or request, f"{kind} {request}"
    value = encode(kind, told, id=unique, source="tests", subject=request, location=key, time_ms=1_750_000_000_000)
    return OutRecord("sync.requests", key.encode(), value)


def calls_of_a_scan(contacts: int) -> int:
    """Its pages, and the last pass over contacts that were changed meanwhile."""
    return -(-contacts // page) + 1


def course(told: Sequence[Record], request: str, partition: int | None = None) -> Course:
    """`partition`: as that one tells it, of a backfill."""
    records = [one for one in told if one.topic == "sync.progress" and partition in (None, one.partition)]
    events = [orjson.loads(one.value or b"{}") for one in records]
    kinds = [(event["type"].removeprefix("sync."), event["data"]) for event in events]
    return [(kind, said) for kind, said in kinds if kind != "answered" and said["request_id"] == request]


def summary(leads: Collection[Resident]) -> Json:
    """What the end of a job over these must say."""
    done = Counter(lead.outcome for lead in leads)
    filled = Counter(name for lead in leads for name in lead.gained)
    names = "updated", "unchanged", "created", "not_found", "ambiguous", "failed"
    counts = {name: done[name] for name in names}
    return {"leads_total": len(leads), "leads_done": len(leads), **counts, "filled": dict(filled)}


def uneven(heard: Course, leads: Collection[Resident]) -> Iterator[str]:
    """Of a job that must be completed: not begun or ended just once, or with other numbers than the generator's."""
    kinds = [kind for kind, _ in heard]
    ends = [kind for kind in kinds if kind in begin_and_end]
    if ends != ["started", "completed"] or kinds[-1] != "completed":
        yield f"of {len(leads)} leads it told {ends}, and last {kinds[-1:]}"
        return
    last = heard[-1][1]
    yield from (f"{name}: {last[name]}, not {right}" for name, right in summary(leads).items() if last[name] != right)
    for name in ("leads_done", "calls_spent", "calls_planned"):
        counts = [said[name] for _, said in heard]
        if counts != sorted(counts):
            yield f"{name} goes back: {counts}"


def missed(told: Sequence[Record], leads: Collection[Resident], request: str) -> Iterator[str]:
    """Leads without the one result that they must have of this job, or with one where there may be none."""
    given: dict[tuple[str, str], list[tuple[str, Mapping[str, str]]]] = {}
    for one in data(told, "lead.updates", "lead.synced"):
        if any(cause.get("request_id") == request for cause in one["causes"]):
            given.setdefault((one["location_id"], one["lead_id"]), []).append((one["outcome"], one["changes"]))
    for lead in leads:
        had = given.pop((lead.location, lead.id), [])
        if had != ([] if lead.outcome == "unchanged" else [(lead.outcome, lead.gained)]):
            yield f"{lead.id}, {lead.kind}: {[(outcome, sorted(changes)) for outcome, changes in had]}"
    yield from (f"{lead} has a result of {request}, and is none of its leads" for lead in given)
