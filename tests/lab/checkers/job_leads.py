"""Check the leads of jobs: none is skipped, and each outcome fits what HighLevel held when it was asked."""

from collections.abc import Iterator

from tests.lab.history import CommittedEvent, History
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.times import start_ms

from .job_history import JobHistory, job_histories


def no_lead_skipped(history: History) -> Iterator[str]:
    """Each lead known before the request, and not deleted since, has an allowed outcome; the job has no other leads."""
    for job in job_histories(history):
        if (end := job.completed) is None:
            continue
        results = {(one.data["location_id"], one.data["lead_id"]): one for one in job.results(history)}
        least = most = 0
        for lead in job.leads(history):
            truth, result = lead.truth, results.get((lead.location, lead.id))
            most += bool(truth.job)
            deleted = truth.deleted is not None and start_ms + truth.deleted <= end.committed_ms
            there = bool(truth.job) and truth.known < job.job.at and not deleted
            least += there
            given_up = job.job.location is None and lead.location in history.faults.cursors_refused
            outcome = result.data["outcome"] if result else "failed" if given_up else "unchanged"
            if (result or there) and outcome not in allowed_outcomes(history, job, lead, result):
                yield f"{job.name}: {lead.id}, which {lead.kind}, is {outcome}"
        if not least <= end.data["leads_total"] <= most:
            yield f"{job.name}: {end.data['leads_total']} leads, not {least} to {most}"


def allowed_outcomes(
    history: History, job: JobHistory, lead: WorkloadLead, result: CommittedEvent | None
) -> frozenset[str]:
    """Return the outcomes that fit: its contact could or couldn't be found when HighLevel was last asked."""
    allowed, hard = lead.truth.job, history.faults.outages or history.faults.cursors_refused
    failed = frozenset({"failed"}) if hard else frozenset()
    if result is None or lead.truth.findable is None:
        return allowed | failed
    since, until = (start_ms + ms for ms in lead.truth.findable)
    asked = last_asked(history, job, lead, result)
    if since <= asked and until > result.committed_ms:
        allowed -= {"not_found"}
    if lead.truth.vanishes is not None:
        until, asked = start_ms + lead.truth.vanishes, start_ms + job.job.at
    if until <= asked and not linked_before(history, job, lead, result, until):
        allowed -= {"updated"}
    return allowed | failed


def linked_before(history: History, job: JobHistory, lead: WorkloadLead, result: CommittedEvent, until: int) -> bool:
    """True if another job or event may have linked the lead while its contact could be found."""
    results = (event.data for event in history.results_by_lead.get((lead.location, lead.id), ()))
    if any(one["contact_id"] and one["sequence"] < result.data["sequence"] for one in results):
        return True
    here = [one for one in history.calls_by_location.get(lead.location, ()) if one.arrived and one.arrived < until]
    caught_up = any(one.page and one.page[1] and one.page[0] != job.job.request for one in here)
    return caught_up or any(one.asks_about(lead.id) for one in here)


def last_asked(history: History, job: JobHistory, lead: WorkloadLead, result: CommittedEvent) -> int:
    """Return the earliest time at which HighLevel can have been asked last for this result.

    That is the last call about the lead, else the end of the scan, which the catch-up pass follows; never a time before
    the request of the job.
    """
    calls = history.calls_by_location.get(lead.location, ())
    here = [one for one in calls if one.arrived and one.kind == "search"]
    began, end = start_ms + job.job.at, result.committed_ms
    responses = sorted(
        (one.until, one.arrived or 0) for one in here if one.asks_about(lead.id) and one.until and one.until <= end
    )
    if responses:
        latest = min(responses[-1][0], end - commits_within_ms(history))
        return max(began, min(arrived for until, arrived in responses if until >= latest))
    catch_up = (job.job.request, True)
    pages = [one for one in here if one.page and one.page[0] == job.job.request and one.outcome == "Page"]
    scan = [one.arrived or 0 for one in pages if one.until and one.until <= end and one.page != catch_up]
    return max([began, *scan])


def commits_within_ms(history: History) -> int:
    """Return the time from a response until its meaning is committed."""
    return 1_000 if history.undisturbed else 30_000
