"""Report the work that a run has not done yet, by its outputs alone. A real stage waits until nothing is left."""

from collections.abc import Iterator

from tests.lab.history import History

from .job_history import job_histories
from .messages import none_missing
from .records import not_ok
from .results import requests_of


def unfinished(history: History) -> Iterator[str]:
    answers = [event.data for event in history.events("sync.progress") if event.kind == "sync.answered"]
    answered = {(one["location_id"], one["lead_id"], one["request_id"]) for one in answers}
    for key, lead in history.workload.lead_by_id.items():
        results = [event.data for event in history.results_by_lead.get(key, ())]
        revision = max((one["revision"] for one in results if one["revision"] is not None), default=None)
        if None not in lead.truth.last and revision != lead.truth.revision:
            yield f"{lead.id}: revision {lead.truth.revision} has no result, the last one has seen {revision}"
        for request in lead.truth.requests:
            if not any(request in requests_of(one) for one in results):
                yield f"{lead.id}: {request} has no result"
            if (*key, request) not in answered:
                yield f"{lead.id}: {request} has no answer"
    yield from (f"{job.name} hasn't ended" for job in job_histories(history) if job.end is None)
    yield from none_missing(history)
    yield from not_ok(history)
    malformed = sum(one.dead_letter is not None for one in history.workload.publications)
    letters = sum(1 for _ in history.of_topic("dead.letters"))
    if letters < malformed:
        yield f"{malformed - letters} malformed records are not dead-lettered"
