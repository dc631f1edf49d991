"""What a run without a flaw leaves on the output topics, made from the load alone: for tests that spoil it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from processor.events.cloudevents import Record
from processor.topics import home
from tests.integration.canaries import Lead
from tests.integration.chaos.load import Load, everywhere, partitions, towns
from tests.integration.jobs import summary

Json = Mapping[str, Any]


def right(load: Load) -> list[Record]:
    return [*results(load), *answers(load), *jobs(load), *imported(load), *buried(load)]


def results(load: Load) -> Iterable[Record]:
    """One of each lead, which answers all that was asked of it."""
    asked = requests_of(load)
    for name, versions in load.versions.items():
        last = versions[-1]
        causes = [cause("sync.lead.requested", request) for request in asked.get(name, ())]
        causes += [cause("sync.backfill.requested", everywhere)] if name in load.backfilled else []
        yield result(last, last.revision, "updated", last.gained, causes)
    for job, town in towns.items():
        both = [cause("sync.location.requested", job), cause("sync.backfill.requested", everywhere)]
        for lead in town.leads:
            if lead.outcome != "unchanged":
                yield result(lead, 1, lead.outcome, lead.gained, both)


def answers(load: Load) -> Iterable[Record]:
    yield from (told("sync.progress", "sync.answered", {"request_id": request}) for request in load.requests)


def jobs(load: Load) -> Iterable[Record]:
    for job, town in towns.items():
        yield from course(job, town.location, summary(town.leads), home(town.location, partitions))
    linked = Counter(home(load.versions[name][0].location, partitions) for name in load.backfilled)
    for partition in range(partitions):
        residents = [
            one for town in towns.values() if home(town.location, partitions) == partition for one in town.leads
        ]
        sums = summary(residents)
        more = {name: sums[name] + linked[partition] for name in ("leads_total", "leads_done", "updated")}
        yield from course(everywhere, None, {**sums, **more}, partition)


def course(request: str, location: str | None, sums: Json, partition: int) -> Iterable[Record]:
    none: Json = {name: 0 if isinstance(value, int) else {} for name, value in sums.items()}
    for kind, said in (("started", none), ("completed", sums)):
        data = {"request_id": request, "location_id": location, "calls_spent": 1, "calls_planned": 1, **said}
        yield told("sync.progress", f"sync.{kind}", data, partition)


def imported(load: Load) -> Iterable[Record]:
    yield from (told("lead.messages", "lead.message.imported", one) for one in load.imported)


def buried(load: Load) -> Iterable[Record]:
    for offset, value in enumerate(load.malformed):
        yield letter(value, offset)


def letter(value: bytes, offset: int) -> Record:
    headers = {"topic": b"lead.changes", "partition": b"0", "offset": str(offset).encode(), "reason": b"not_json"}
    return Record(
        "dead.letters", 0, offset, 0, b"", value, tuple((f"hydrant-{key}", one) for key, one in headers.items())
    )


def result(lead: Lead, revision: int, outcome: str, changes: Json, causes: list[Json], sequence: int = 1) -> Record:
    ids = {"location_id": lead.location, "lead_id": lead.id, "revision": revision, "sequence": sequence}
    return told(
        "lead.updates", "lead.synced", {**ids, "outcome": outcome, "reason": None, "changes": changes, "causes": causes}
    )


def cause(kind: str, request: str) -> Json:
    return {"id": f"event-of-{request}", "type": kind, "request_id": request}


def requests_of(load: Load) -> dict[str, list[str]]:
    """By lead, as they were told."""
    found: dict[str, list[str]] = {}
    for _, out in load.told:
        if out.topic == "sync.requests" and (data := orjson.loads(out.value or b"")["data"]).get("lead_id"):
            found.setdefault(data["lead_id"], []).append(data["request_id"])
    return found


def told(topic: str, kind: str, data: Json, partition: int = 0) -> Record:
    return Record(topic, partition, 0, 0, b"", orjson.dumps({"type": kind, "data": data}), ())
