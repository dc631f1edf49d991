"""Check the results and answers of leads: each once, in order, and as the ground truth says."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.lab.history import Data, History
from tests.lab.workload.lead import WorkloadLead

sync_deadline_ms: Final = 120_000  # of a Sync that names none
looked_again_ms: Final = 80_000  # from the end of an outage or refusal until a location with open work goes on
failed_by_faults: Final = {("failed", reason) for reason in ("unavailable", "unauthorized", "throttled", "deadline")}
synced_only: Final = {
    "complete",
    "lacks_time_zone",
    "loading",
    "synced_with_snapshot",
    "is_synced_meanwhile",
}  # only a Sync gives these kinds work
job_kinds: Final = {"sync.location.requested", "sync.backfill.requested"}  # a cause of many results


def once(history: History) -> Iterator[str]:
    """A read_committed reader sees each result once, each request answered once, and no event in two results."""
    named: Counter[str] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    results: Counter[tuple[str, str, int]] = Counter()
    for result in history.data("lead.updates"):
        results[result["location_id"], result["lead_id"], result["sequence"]] += 1
        named.update(dict.fromkeys((cause["id"] for cause in result["causes"] if cause["type"] not in job_kinds), 1))
        answers.update((result["lead_id"], request) for request in requests_of(result))
    allowed = {event for lead in history.workload.leads for event in lead.truth.repeats}
    yield from (f"result {one} was published {count} times" for one, count in results.items() if count > 1)
    yield from (
        f"{event} is a cause of {count} results" for event, count in named.items() if count > 1 and event not in allowed
    )
    yield from (f"{one} was answered {count} times" for one, count in answers.items() if count > 1)
    yield from answered_once(history)


def answered_once(history: History) -> Iterator[str]:
    """Each Sync has one answer on `lead.updates` and the same one on `sync.progress`."""
    by_result: dict[tuple[str, str, str], Data] = {}
    for result in history.data("lead.updates"):
        for cause in result["causes"]:
            if cause.get("request_id") and cause["type"] not in job_kinds:
                by_result[result["location_id"], result["lead_id"], cause["request_id"]] = result
    answers = [event.data for event in history.events("sync.progress") if event.kind == "sync.answered"]
    shown = Counter((one["location_id"], one["lead_id"], one["request_id"]) for one in answers)
    yield from (f"{one} was answered {count} times on sync.progress" for one, count in shown.items() if count > 1)
    yield from (f"{one} was answered in lead.updates or sync.progress alone" for one in {*shown} ^ {*by_result})
    for one in answers:
        result = by_result.get((one["location_id"], one["lead_id"], one["request_id"]), one)
        differs = [name for name in ("sequence", "outcome", "reason", "lead_updated") if one[name] != result[name]]
        filled = {name for name, value in result.get("changes", {}).items() if value is not None}
        if differs or {*one["filled"]} != filled:
            yield f"the answers to {one['request_id']} differ: {differs}"


def order(history: History) -> Iterator[str]:
    """Per lead, results never go back in sequence or revision."""
    for lead, results in history.results_by_lead.items():
        sequence, revision = -1, None
        for result in (event.data for event in results):
            if result["sequence"] <= sequence:
                yield f"{lead[1]}: sequence {result['sequence']} after {sequence}"
            if revision is not None and (result["revision"] is None or result["revision"] < revision):
                yield f"{lead[1]}: revision {result['revision']} after {revision}"
            sequence, revision = result["sequence"], result["revision"]


def nothing_lost(history: History) -> Iterator[str]:
    """Each valid event is in state and has its effect; the last result of a lead is as the ground truth says."""
    known = history.workload.lead_by_id
    yield from (f"{lead}: upstream never published it" for lead in history.results_by_lead if lead not in known)
    for key, lead in known.items():
        results = [event.data for event in history.results_by_lead.get(key, ())]
        delayed = [one for one in results if failed_by_fault(history, lead, one)]
        document = history.documents.get(f"lead {lead.location} {lead.id}")
        yield from (f"{lead.id}: {flaw}" for flaw in lead_lost(lead, results, delayed, document))
        for request, allowed in lead.truth.requests.items():
            answers = [one for one in results if request in requests_of(one)]
            allowed |= lead.truth.excused if history.owner_gaps else frozenset()
            if not answers:
                yield f"{lead.id}: {request} was never answered"
            for one in answers:
                if (one["outcome"], one["reason"]) not in allowed and one not in delayed:
                    answer, expected = (one["outcome"], one["reason"]), sorted(allowed, key=str)
                    yield f"{lead.id}: {request} was answered {answer}, not {expected}"


def failed_by_fault(history: History, lead: WorkloadLead, result: Data) -> bool:
    """True if its deadline passed while HighLevel didn't serve the location, or the day had no calls left."""
    if (result["outcome"], result["reason"]) == ("failed", "daily_budget"):
        return history.faults.day is not None
    if (result["outcome"], result["reason"]) not in failed_by_faults:
        return False
    asked = [lead.truth.requested_at[one] for one in requests_of(result) if one in lead.truth.requested_at]
    deadlines = [at + sync_deadline_ms for at in asked]
    spans = [(one.at, one.over) for one in history.faults.outages_of(lead.location)]
    spans += [(one.at, one.over) for one in history.faults.refusals_of(lead.location)]
    return any(since <= deadline <= over + looked_again_ms for deadline in deadlines for since, over in spans)


def requests_of(result: Data) -> list[str]:
    return [cause["request_id"] for cause in result["causes"] if cause.get("request_id")]


def lead_lost(
    lead: WorkloadLead, results: Sequence[Data], delayed: Sequence[Data], document: Mapping[str, Any] | None
) -> Iterator[str]:
    truth = lead.truth
    if truth.revision is not None and (document is None or document.get("revision") != truth.revision):
        yield f"its revision {truth.revision} is not in state"
    others = [one for one in results if one not in delayed]
    last = others[-1]["outcome"] if others else None
    if last not in truth.last and not (delayed and lead.kind in synced_only):
        yield f"its last outcome is {last}, not {sorted(truth.last, key=str)}"
    if truth.revision is not None and not delayed:
        published: dict[str, Any] = {}
        for result in results:
            if result["revision"] == truth.revision:
                published |= result["changes"]
        must = truth.revisions[truth.revision].must
        missing = {name for name, value in must.items() if published.get(name) != value}
        if missing:
            yield f"{sorted(missing)} of revision {truth.revision} were never published"
    gone = [one["replaces"]["contact_id"] for one in results if one["replaces"]]
    if (truth.replaces in gone) != (truth.replaces is not None) or len({*gone}) > 1:
        yield f"it replaces {gone}, not {truth.replaces}"


def no_stale_responses(history: History) -> Iterator[str]:
    """All changes of a result belong to the contact that the lead has in the revision of the result."""
    for key, lead in history.workload.lead_by_id.items():
        for result in (event.data for event in history.results_by_lead.get(key, ())):
            revision = lead.truth.revisions.get(result["revision"])
            may = revision.may if revision else {}
            also = revision.also if revision else ()
            if result["contact_id"] not in (None, *(revision.contacts if revision else ())):
                yield f"{lead.id}: revision {result['revision']} was linked to {result['contact_id']}"
            for name, value in result["changes"].items():
                cleared = name == "contact_id" and value is None and result["replaces"]
                if may.get(name) != value and (name, value) not in also and not cleared:
                    yield f"{lead.id}: revision {result['revision']} was given another contact's {name}"


def calls_reported(history: History) -> Iterator[str]:
    """No call is counted in two results."""
    reported: Counter[tuple[str, str]] = Counter()
    for result in history.data("lead.updates"):
        reported.update({(result["location_id"], kind): count for kind, count in result["calls"].items()})
    made = Counter((one.location, one.kind) for one in history.calls)
    for where, count in reported.items():
        if history.calls and count > made[where]:
            yield f"{where}: results report {count} calls, {made[where]} were made"
