"""Check the calls of jobs: none after the end or in a pause, one Sync All at a time, and the daily reserve is kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from processor.topics import home
from tests.lab.history import History, SentCall
from tests.lab.workload.times import parse_ms, start_ms

from .job_history import JobHistory, job_histories, turn_ms

resume_reported_ms: Final = 5_000  # from the call with which a job resumes until that is published
resumes_within_ms: Final = 60_000  # after the moment that a pause named
job_only_kinds: Final = frozenset(  # of leads that nothing but a job gives work
    {
        "waits",
        "waits_by_phone",
        "waits_linked",
        "waits_without_contact",
        "waits_in_doubt",
        "shares_its_contact",
        "has_an_additional_email",
        "is_edited",
        "loses_its_contact",
        "gains_its_contact",
        "gets_its_contact",
        "has_its_contact_deleted",
        "has_its_contact_merged",
    }
)


def stops_at_once(history: History) -> Iterator[str]:
    """No call of a job is granted after the turn in which it ended."""
    for job in job_histories(history):
        if job.end is None:
            continue
        for call in calls_of_job(history, job):
            if (late := call.granted_by_clock - turn_ms(job.end) - 2 * history.skew_ms) > 0:
                yield f"{job.name}: slot {call.slot} was granted {late} ms after its end"


def calls_of_job(history: History, job: JobHistory) -> Iterator[SentCall]:
    """Return the calls that only this job can have made: its pages, and questions about leads with no other work."""
    others = [one for one in history.workload.jobs if one is not job.job]
    only_its_own = {
        (lead.location, lead.id)
        for lead in job.leads(history)
        if lead.kind in job_only_kinds and not any(other.covers(lead.location) for other in others)
    }
    for call in history.calls:
        where = home(call.location, history.workload.partitions)
        if call.page and call.page[0] == job.job.request and where == job.partition:
            yield call
        if call.asks and all((call.location, ask.split()[0]) in only_its_own for ask in call.asks):
            yield call


def one_after_the_other(history: History) -> Iterator[str]:
    """A location has one Sync All at a time, and meanwhile no backfill asks for its pages."""
    by_location: dict[str, list[JobHistory]] = defaultdict(list)
    for job in job_histories(history):
        if job.job.location and job.started and job.end:
            by_location[job.job.location].append(job)
    backfills = {job.request for job in history.workload.jobs if not job.location}
    skew_ms = 2 * history.skew_ms
    for location, jobs in by_location.items():
        spans = sorted((turn_ms(one.started), turn_ms(one.end), one.name) for one in jobs if one.started and one.end)
        for (_, until, first), (since, _, second) in pairwise(spans):
            if since < until - skew_ms:
                yield f"{second} started {until - since} ms before {first} was over"
        for call in history.calls_by_location.get(location, ()):
            if call.page and call.page[0] in backfills:
                for since, until, name in spans:
                    if since + skew_ms < call.granted_by_clock < until - skew_ms:
                        yield f"{location}: a page of {call.page[0]} in slot {call.slot}, while {name} ran"


def pauses_are_kept(history: History) -> Iterator[str]:
    """A Sync All that reports a spent day gets no page until it resumes at the reported time."""
    for job in job_histories(history):
        pages = [one for one in job.pages(history) if one.location == job.job.location]
        for number, paused in enumerate(job.events) if job.job.location else ():
            if paused.kind != "sync.paused" or paused.data["reason"] != "daily_budget":
                continue
            later = [one for one in job.events[number + 1 :] if one.data["reason"] != "daily_budget"]
            after = later[0].committed_ms if later else history.end_ms
            for call in pages:
                if paused.committed_ms < call.granted < after - resume_reported_ms:
                    yield f"{job.name}: slot {call.slot} was granted while it was paused"
            until = parse_ms(paused.data["paused_until"])
            if until is None or (history.undisturbed and after > until + resumes_within_ms):
                yield f"{job.name}: paused until {paused.data['paused_until']}, resumed {after - (until or 0)} ms after"


def leaves_the_reserve(history: History) -> Iterator[str]:
    """The calls of jobs leave the reserve of a day to others."""
    day = history.faults.day
    if day is None:
        return
    reserve = int(history.rate.per_day * history.rate.reserve)
    of_jobs = {id(call) for job in job_histories(history) for call in calls_of_job(history, job)}
    spent: Counter[tuple[str, int]] = Counter()
    for call in sorted(history.calls, key=lambda call: call.granted):
        today = call.location, day.number(call.granted - start_ms)
        spent[today] += 1
        if id(call) in of_jobs and spent[today] > day.calls - reserve:
            yield f"{call.location}: a job's call was the {spent[today]}th of its day, {reserve} of {day.calls} are kept"


def spent_calls_reported(history: History) -> Iterator[str]:
    """A job reports at least the calls that only it can have made."""
    for job in job_histories(history):
        if job.end is not None:
            made = sum(1 for _ in calls_of_job(history, job))
            if made > job.end.data["calls_spent"]:
                yield f"{job.name}: {made} calls were made, {job.end.data['calls_spent']} are reported"
