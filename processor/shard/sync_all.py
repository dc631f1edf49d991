"""A job's way through its location: open its leads, plan, scan or probe, decide, and end (DESIGN §3, §7).

It only opens work in leads and puts hits into them: `settle` decides, `spend` asks. Walks through its leads take some in
a turn; where they are stands in its document, so whoever takes over goes on from there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from processor.events.cloudevents import Event
from processor.events.contract import SyncCancelRequested, SyncLocationRequested
from processor.ratelimit.budget import Lane
from processor.shard.export import close
from processor.shard.job import Backfill, Job, going, tallies, walks
from processor.shard.lead import Lead, Open, Question, leads_per_value
from processor.shard.progress import say
from processor.shard.resolve import Evidence
from processor.shard.scan import choose, found_by
from processor.shard.settle import Ask, decide, learn
from processor.shard.setup import Setup
from processor.shard.state import Changes, Position

recheck_ms: Final = 250  # lead.changes isn't read up to the request's arrival yet
probes_without_looking: Final = 2  # no scan costs less, however few contacts there are


def location_requested(changes: Changes, data: SyncLocationRequested, event: Event, now: int) -> None:
    """A Sync All. The same request id is the same job."""
    if Job.of(changes, data.location_id, data.request_id) is None:
        begin(
            changes,
            Job(data.location_id, data.request_id, cause=event.id, dry=data.dry_run, messages=data.include_messages),
            event,
            now,
        )


def begin(changes: Changes, job: Job, event: Event, now: int) -> None:
    """Take up a job: it waits for its turn. A Sync All goes before a backfill's, whose scan then begins again."""
    job.since, job.changes_end = event.record.timestamp_ms, event.changes_end or 0
    admit(changes, job, now)


def admit(changes: Changes, job: Job, now: int) -> None:
    first = changes.first_job(job.location)
    job.heard, job.due = max(now, changes.last_heard(job.location) + 1), now  # whatever the former owner's clock
    changes.hold(job, None)
    changes.refresh(job)
    overtaken = Job.of(changes, job.location, first) if first and changes.first_job(job.location) == job.id else None
    if overtaken and overtaken.stage in ("scanning", "deciding"):
        overtaken.scan_anew(now)


def cancel_requested(changes: Changes, setup: Setup, data: SyncCancelRequested, now: int) -> None:
    """Its calls stop at once. An unknown or finished job, or one of a backfill, is none to cancel here."""
    job = Job.of(changes, data.location_id or "", data.request_id)
    if job and not job.is_backfills:
        end(changes, setup, job, "sync.cancelled", now)


def step(changes: Changes, setup: Setup, job: Job, now: int, limit: int) -> Sequence[Lead]:
    """What is due of the job: the next `limit` leads of its walk. Returns the leads that `settle` has to look at."""
    if job.stage == "over":
        job.ended = -1  # forgotten
        return ()
    first = changes.first_job(job.location) == job.id
    if job.stage in walks or job.stage == "queued":
        job.due = now if first or job.stage == "leaving" else 0  # else whoever goes before it wakes it
    if job.giving is not None:
        give_back(changes, job, limit)
    if job.stage == "leaving":
        return leave_leads(changes, job, now, limit)
    if not first:
        return ()
    match job.stage:
        case "queued" if job.changes_end > Position.of(changes, "lead.changes").offset:
            job.due = now + recheck_ms
        case "queued":
            job.to("opening", now)
        case "opening":
            return open_leads(changes, setup, job, now, limit)
        case "deciding":
            return decide_leads(changes, job, now, limit)
        case "closing":
            return close(changes, job, now, limit)
    return ()


def open_leads(changes: Changes, setup: Setup, job: Job, now: int, limit: int) -> Sequence[Lead]:
    """The job becomes a cause in the open work of the location's leads; of a dry one they are only looked at."""
    found = changes.leads(job.location, job.walked, limit)
    there = [lead for name in found if (lead := Lead.of(changes, job.location, name)).is_there]
    same: Counter[Question] = Counter()
    for lead in there:
        fresh = lead.open is None
        work = replace(lead.open or Open(job.since, now)) if job.dry else lead.work(job.since, now)
        if job.id not in work.jobs:
            work.jobs = [*work.jobs, job.id]
        work.hits = None
        work.wants_messages |= job.messages
        if fresh:
            work.lane = job.lane
        elif job.lane == Lane.JOB and work.lane >= Lane.CHANGE and not work.asked:
            job.lent += bool(work.causes)
            work.lane = job.lane
        decision = decide(lead, work, setup.fetch_fields, now)
        if isinstance(decision, Ask):
            question = decision.question
            work.covered = question.by != "get" and not crowded(changes, lead, question, same)
            same[question] += 1
            count(job, setup, lead, question)
    for tally in tallies(changes, job):
        tally.leads += len(there)
    if job.walk(found, limit):
        job.to("planning", now)
    return () if job.dry else there


def crowded(changes: Changes, lead: Lead, question: Question, same: Counter[Question]) -> bool:
    """So many leads ask the same that no page may touch them all: they are probed."""
    others = [name for name in changes.sought(lead.location, *question, leads_per_value + 1) if name != lead.id]
    return len(others) + same[question] >= leads_per_value


def count(job: Job, setup: Setup, lead: Lead, question: Question) -> None:
    """What the plan is made from."""
    job.asks[question.by] = job.asks.get(question.by, 0) + 1
    for name in sorted(setup.fetch_fields.intersection(lead.gaps())) if question.by != "get" else ():
        job.gaps[name] = job.gaps.get(name, 0) + 1


def decide_leads(changes: Changes, job: Job, now: int, limit: int) -> Sequence[Lead]:
    """The scan is over: what it found for a lead, or that it found nothing, is as good as a search."""
    found = changes.askers(job.location, job.walked, limit, job.lane)
    decided = []
    for name in found:
        lead = Lead.of(changes, job.location, name)
        work = lead.open
        if work is None or work.question is None or not work.covered or work.lane != job.lane:
            continue
        hits = found_by(job, work) or Evidence()
        work.uncover()
        work.looked = True
        if work.question.by == "id":
            work.searched = work.question.value
            if hits.best:
                learn(lead, work, hits.best)
        else:
            work.evidence = hits
        decided.append(lead)
    if job.walk(found, limit):
        job.to("asking", now)
    return decided


def leave_leads(changes: Changes, job: Job, now: int, limit: int) -> Sequence[Lead]:
    """The job was cancelled or has failed: what others want of its leads is theirs again."""
    found = changes.askers(job.location, job.walked, limit)
    for name in found:
        lead = Lead.of(changes, job.location, name)
        if lead.open:
            lead.open.leave(job.id, job.lane)
            lead.open = lead.open if lead.open.wanted else None
    changes.busy[job.location] = None
    if job.walk(found, limit):
        over(changes, job, now)
    return ()


def give_back(changes: Changes, job: Job, limit: int) -> None:
    """The job stands still, while the day still has calls for changes: those that it took along are theirs again."""
    found = changes.askers(job.location, job.giving or "", limit)
    for name in found:
        lead = Lead.of(changes, job.location, name)
        if lead.open and lead.open.causes and lead.open.lane == job.lane:
            lead.open.give_back()
    job.giving = found[-1] if found else job.giving
    changes.busy[job.location] = None
    if len(found) < limit:
        job.giving, job.lent = None, 0


def advance(changes: Changes, setup: Setup, now: int) -> None:
    """What this turn means for the jobs that it touched, before calls are spent."""
    for job in changes.touched(Job):
        if job.stage == "planning":
            look_before_planning(changes, setup, job, now)
        if job.stage == "asking" and job.dry:
            end(changes, setup, job, "sync.cancelled", now, "dry_run")
        elif job.stage in going and job.tally.complete and not job.ended and not job.dry:
            end(changes, setup, job, "sync.completed", now)
        changes.refresh(job)
        if job.stage in going:
            changes.busy[job.location] = None


def look_before_planning(changes: Changes, setup: Setup, job: Job, now: int) -> None:
    """All leads are opened. Few questions are probed at once; else the first page of a scan tells how many contacts
    there are."""
    if -(-job.searches // setup.probe_size) <= probes_without_looking:
        choose(changes, setup, job, (), 0, now)
    else:
        job.scan_anew(now)


def end(changes: Changes, setup: Setup, job: Job, kind: str, now: int, reason: str | None = None) -> None:
    """Completed, failed or cancelled: told at once, and no call is made for it any more; its leads are left in pages."""
    if job.ended:
        return
    job.ended, job.reason = now, reason
    if job.is_backfills:
        share_ended(changes, job, kind)
    else:
        say(changes, setup, job, kind, now)
    if kind == "sync.completed" or job.dry:
        over(changes, job, now)
    else:
        job.to("leaving", now)


def share_ended(changes: Changes, job: Job, kind: str) -> None:
    """A backfill goes on without a location whose pages HighLevel refuses: its leads have failed."""
    whole = Backfill.of(changes, job.id)
    if whole is None:
        return
    whole.held -= bool(job.told.held)
    left = job.tally.leads - job.tally.leads_done
    if kind == "sync.failed" and left > 0:
        whole.tally.done["failed"] = whole.tally.done.get("failed", 0) + left


def over(changes: Changes, job: Job, now: int) -> None:
    """It is remembered for a day, and the next one has its turn."""
    job.to("over", now)
    changes.refresh(job)
    if job.is_backfills and (whole := Backfill.of(changes, job.id)):
        whole.over, whole.told.anew = whole.over + 1, True
    following = changes.first_job(job.location)
    if following and (waiting := Job.of(changes, job.location, following)):
        waiting.due = now
        changes.refresh(waiting)
    changes.busy[job.location] = None
