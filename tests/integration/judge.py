"""Find what went wrong, a line each, by what a `read_committed` reader of the output topics sees. Pure.

The lab's checkers judge what needs no ground truth; the truth of `canaries` is compared here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from processor.events.cloudevents import Record
from tests.integration.canaries import Lead, marks
from tests.lab.checkers.privacy import no_leak
from tests.lab.checkers.results import once, order
from tests.lab.history import History, of_topics
from tests.lab.workload.workload import Workload


def data(records: Iterable[Record], topic: str, kind: str) -> list[dict[str, Any]]:
    """Return the data of each event of a type, in each partition in order."""
    events = (orjson.loads(record.value or b"{}") for record in records if record.topic == topic)
    return [event["data"] for event in events if event.get("type") == kind]


def history_of_outputs(records: Sequence[Record]) -> History:
    """Return a history without ground truth."""
    partitions = 1 + max((record.partition for record in records), default=0)
    return of_topics(Workload(0, [], partitions=partitions, owned=tuple(range(partitions))), records)


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
    """Yield results and answers that are there twice, differ from each other, or are out of order."""
    history = history_of_outputs(records)
    yield from order(history)
    yield from once(history)


def unanswered(requests: Collection[str], records: Sequence[Record]) -> Iterator[str]:
    """Yield Syncs without a result, and results and answers of unknown requests. `repeated` compares both."""
    results = data(records, "lead.updates", "lead.synced")
    causes = [cause for one in results for cause in one["causes"]]
    named = {cause["request_id"] for cause in causes if cause["type"] == "sync.lead.requested"}
    named |= {one["request_id"] for one in data(records, "sync.progress", "sync.answered")}
    yield from (f"{request} has no result" for request in sorted({*requests} - named))
    yield from (f"{request} was never requested" for request in sorted(named - {*requests}))


def leaked(records: Sequence[Record], written: Mapping[str, str]) -> Iterator[str]:
    """Yield personal data in keys, headers, and `written`: the logs and metrics of each worker."""
    yield from no_leak(history_of_outputs(records), written, marks)
