"""Check the progress of jobs: each ends once, and its counts grow, add up, and match the results."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from tests.lab.history import CommittedEvent, History
from tests.lab.workload.times import start_ms

from .job_history import JobHistory, job_ends, job_events, job_histories, jobs_by_place, turn_ms

outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
grows: Final = (*(one for one in outcomes if one != "failed"), "leads_done", "messages_imported", "calls_spent")
progress_every_ms: Final = 1_000
cancelled_within_ms: Final = 2_000  # where all is well


def ends_once(history: History) -> Iterator[str]:
    """Each job ends exactly once, as it must. It starts at most once before that, and is silent afterwards."""
    jobs = jobs_by_place(history)
    for event in job_events(history):
        where = event.data["location_id"] or event.partition
        if (event.data["request_id"], where) not in jobs:
            yield f"{event.data['request_id']} of {where} was never requested"
        if event.data["location_id"] is None and event.data["partition"] != event.partition:
            yield f"partition {event.partition} reports on {event.data['partition']}"
    for job in jobs.values():
        kinds = [event.kind for event in job.events]
        if sum(kind in job_ends for kind in kinds) != 1 or kinds[-1] not in job_ends:
            yield f"{job.name} doesn't end once: {[kind for kind in kinds if kind != 'sync.progressed']}"
            continue
        started = kinds.index("sync.started") if "sync.started" in kinds else 0
        if kinds.count("sync.started") > 1 or (kinds[-1] == "sync.completed" and "sync.started" not in kinds):
            yield f"{job.name} doesn't start once: {kinds}"
        if "sync.progressed" in kinds and kinds.index("sync.progressed") < started:
            yield f"{job.name} progresses before it has started"
        if (end := (kinds[-1], job.events[-1].data["reason"])) not in allowed_ends(history, job):
            yield f"{job.name} ends as {end}"


def allowed_ends(history: History, job: JobHistory) -> set[tuple[str, str | None]]:
    end = job.events[-1].committed_ms
    allowed: set[tuple[str, str | None]] = set()
    cancelled = [start_ms + at for at in job.job.cancels]
    if cancelled and min(cancelled) < end:
        allowed.add(("sync.cancelled", None))
    if cancelled and history.undisturbed and end > min(cancelled) + cancelled_within_ms:
        return allowed
    allowed.add(("sync.cancelled", "dry_run") if job.job.dry_run else ("sync.completed", None))
    if job.job.location in history.faults.cursors_refused:
        allowed.add(("sync.failed", "refused"))
    return allowed


def counts_grow(history: History) -> Iterator[str]:
    """Counts never decrease, and add up in each event."""
    for job in job_histories(history):
        for data in (event.data for event in job.events):
            if sum(data[name] for name in outcomes) != data["leads_done"] or data["leads_done"] > data["leads_total"]:
                yield f"{job.name}: {dict(data)} doesn't add up"
            if data["calls_planned"] < data["calls_spent"] or data["calls_saved"] < 0:
                yield f"{job.name}: {data['calls_spent']} of {data['calls_planned']} calls, {data['calls_saved']} saved"
        deleted = sum(lead.truth.deleted is not None for lead in job.leads(history))
        for before, after in pairwise(job.events):
            yield from (f"{job.name}: {flaw}" for flaw in shrunk(job, before, after, deleted))


def shrunk(job: JobHistory, before: CommittedEvent, after: CommittedEvent, deleted: int) -> Iterator[str]:
    less = [name for name in (*grows, "failed") if after.data[name] < before.data[name]]
    less += [name for name, count in before.data["filled"].items() if after.data["filled"].get(name, 0) < count]
    if less:
        yield f"{less} went back"
    started = job.started
    fixed = job.job.location and started is not None and before.committed_ms >= started.committed_ms
    if fixed and not 0 <= before.data["leads_total"] - after.data["leads_total"] <= deleted:
        yield f"leads_total went from {before.data['leads_total']} to {after.data['leads_total']}"
    if before.data["started_at"] not in (None, after.data["started_at"]):
        yield "it started a second time"


def adds_up(history: History) -> Iterator[str]:
    """Counts lie between the results before an event and those up to it, and are equal at the end."""
    for job in job_histories(history):
        results = job.results(history)
        for event in job.events:
            yield from (f"{job.name}: {flaw}" for flaw in miscounted(history, event, results))
        for result in results:
            lead = result.data["lead_id"]
            alone = all(cause["type"] == job.job.kind for cause in result.data["causes"])
            if alone and result.data["outcome"] == "unchanged":
                yield f"{job.name}: {lead} is unchanged, and that was published"
            if job.end and result.committed_ms > job.end.committed_ms:
                yield f"{job.name}: {lead} had its result after the end"
            if job.job.dry_run:
                yield f"{job.name}: {lead} had a result of a dry run"


def miscounted(history: History, event: CommittedEvent, results: list[CommittedEvent]) -> Iterator[str]:
    before = counted(result for result in results if result.committed_ms < event.committed_ms)
    by_now = counted(result for result in results if result.committed_ms <= event.committed_ms)
    exact, filled = event.kind == "sync.completed", event.data["filled"]
    for name in (*outcomes, *(f"filled {name}" for name in filled)):
        reported = filled.get(name[7:], 0) if name.startswith("filled ") else event.data[name]
        if name == "unchanged" or (name == "failed" and history.faults.cursors_refused):
            continue
        least = by_now[name] if exact else before[name]
        if not least <= reported <= by_now[name]:
            yield f"{event.kind} counts {reported} {name}, {by_now[name]} results say so, {before[name]} before"
    if exact and (missing := {name[7:] for name in by_now if name.startswith("filled ")} - {*filled}):
        yield f"{missing} were filled and not counted"
    if exact and event.data["leads_done"] != event.data["leads_total"]:
        yield f"completed with {event.data['leads_done']} of {event.data['leads_total']} leads"


def counted(results: Iterable[CommittedEvent]) -> Counter[str]:
    count: Counter[str] = Counter()
    for result in results:
        count[result.data["outcome"]] += 1
        count.update(f"filled {name}" for name, value in result.data["changes"].items() if value is not None)
    return count


def progress_interval(history: History) -> Iterator[str]:
    """At most one `sync.progressed` a second, apart from jobs that resume."""
    for job in job_histories(history):
        for before, after in pairwise(job.events):
            between = turn_ms(after) - turn_ms(before)
            alike = {(one.kind, one.data["reason"]) for one in (before, after)} == {("sync.progressed", None)}
            if alike and between < progress_every_ms - 2 * history.skew_ms:
                yield f"{job.name}: progress {between} ms after the last"
