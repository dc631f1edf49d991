"""Plan a job: the cheaper of scan and probe, and how many calls it takes."""

from collections.abc import Sequence
from typing import Final

from processor.highlevel.contact import Contact
from processor.highlevel.requests import page_limit
from processor.shard.decide import get_only
from processor.shard.documents.job import Job, refusals_at_most
from processor.shard.jobs.counting import plan_calls
from processor.shard.jobs.machine import JobStage, Step
from processor.shard.jobs.progress import report_job
from processor.shard.store import UnitOfWork

probes_without_looking: Final = 2  # no scan costs less, however few contacts there are


def plan_job(turn: UnitOfWork, job: Job) -> None:
    """Plan a job when all its leads are opened.

    Few questions are probed at once. For more the first page of a scan counts the contacts.
    """
    if -(-job.searches // turn.setup.probe_size) <= probes_without_looking:
        choose_plan(turn, job, (), 0)
    else:
        job.scan_anew(turn.now)


def choose_plan(turn: UnitOfWork, job: Job, first: Sequence[Contact], total: int) -> None:
    """Choose the plan. `first`: the first page's contacts, none when it wasn't asked for. `total`: of all contacts."""
    searches = min(job.searches, job.counters.leads - job.counters.leads_done)
    probes = -(-searches // (1 if job.multi_value_unsupported else turn.setup.probe_size))
    pages = -(-total // page_limit) + 1  # and the catch-up pass
    looked = 1 if job.wants_page else 0  # at the first page
    job.plan = "scan" if job.wants_page and pages <= looked + probes else "probe"
    plan_calls(turn, job, (pages - looked if job.plan == "scan" else probes) + gets(job, first))
    if job.plan == "probe" or job.dry_run:
        job.advance(Step.PROBE, turn.now)
    if not job.report.started:
        report_job(turn, job, "sync.started")


def gets(job: Job, first: Sequence[Contact]) -> int:
    """Estimate the leads whose contact must be fetched: for fields that no hit of the first page gives."""
    given = {name for contact in first for name in contact.fields} if first else set(job.gaps) - get_only
    fetched = max((count for name, count in job.gaps.items() if name not in given), default=0)
    return job.questions.get("contact", 0) + fetched


def count_multi_value(turn: UnitOfWork, job: Job, refused: bool) -> None:
    """A multi-value search was answered, or refused. Where HighLevel supports none, the plan is made anew."""
    what = "refused" if refused else "answered"
    job.multi_value[what] = job.multi_value.get(what, 0) + 1
    probing = job.plan == "probe" and job.stage is JobStage.ASKING
    if refused and probing and job.multi_value[what] == refusals_at_most and job.multi_value_unsupported:
        job.plan = None
        job.scan_anew(turn.now)
