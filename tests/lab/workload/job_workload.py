"""Workloads with jobs: Sync Alls and backfills over leads that wait for them, beside leads that change."""

from collections.abc import Sequence
from random import Random
from typing import Final

from .lead import WorkloadLead
from .lead_kinds import job_outcomes, kinds_beside_jobs, waiting_kinds
from .publication import JobRequest
from .times import added_ms
from .workload import Workload, locations_at_home, partition, partitions

still: Final = (
    "waits",
    "waits_by_phone",
    "waits_linked",
    "waits_without_contact",
    "waits_in_doubt",
    "waits_complete",
)
changing: Final = ("is_edited", "loses_its_contact", "gains_its_contact", "has_its_contact_deleted")
churning: Final = ("loses_its_contact", "gains_its_contact", "gets_its_contact")
prompt: Final = ("lacks_contact", "no_contact", "lacks_fields", "complete")  # with work of their own


def with_jobs(
    seed: int,
    kinds: Sequence[str],
    jobs: Sequence[JobRequest],
    among: Sequence[str],
    bystanders: int,
    owned: tuple[int, ...] = (partition,),
    count: int = partitions,
    lasts: int = 60_000,
    raw: float = 0.6,
) -> Workload:
    """Make leads of these kinds over the locations `among`, and the outcomes that the jobs may give them."""
    random = Random(f"{seed} crowd")
    raw_names = frozenset(location for location in among if random.random() < raw)
    leads = []
    for number, kind in enumerate(kinds):
        waits = kind in waiting_kinds
        location = random.choice(among)
        begins = random.randint(0, 500 if waits else 10_000)
        lead = WorkloadLead(seed, number, location, location in raw_names, begins, kind, lasts=lasts)
        kinds_beside_jobs[kind](lead)
        if not waits:
            gains = lead.truth.revision is not None and bool(lead.truth.revisions[lead.truth.revision].must)
            certain = gains or kind != "lacks_fields"
            lead.truth.job = job_outcomes[kind] if certain else frozenset({"unchanged", "updated"})
            if any(job.covers(location) for job in jobs):
                lead.truth.last |= lead.truth.job - {"unchanged"}
        leads.append(lead)
    others = (WorkloadLead(seed, 80_000 + number, random.choice(among), False, 0) for number in range(bystanders))
    contacts = tuple(other.contact(added=added_ms + random.randint(0, 40_000)) for other in others)
    return Workload(seed, leads, [], raw_names, count, owned, tuple(jobs), contacts)


def random_jobs(random: Random, among: Sequence[str], count: int) -> list[JobRequest]:
    return [random_job(random, number, among) for number in range(count)]


def random_job(random: Random, number: int, among: Sequence[str]) -> JobRequest:
    """Draw a Sync All or a backfill. Some are dry runs, requested twice, or cancelled."""
    at = random.choice([1_000, 1_500, 4_000, 9_000]) + random.randint(0, 900)
    location = None if random.random() < 0.35 else random.choice(among)
    dry_run = random.random() < 0.15
    repeats = (at + random.choice([1, 800, 30_000]),) if random.random() < 0.25 else ()
    cancels = (at + random.choice([1, 200, 1_000, 2_000, 5_000, 60_000]),) if random.random() < 0.3 else ()
    return JobRequest(at, f"job-{number}", location, dry_run, repeats, cancels, partition)


def small_sync_all(seed: int) -> Workload:
    """Make a small job that is alone with its leads: a scan is the cheaper plan."""
    (location,) = locations_at_home(1, partition)
    kinds = [*still, *Random(f"{seed} sync all").choices(still, k=6)]
    return with_jobs(seed, kinds, [JobRequest(600, "job-0", location)], [location], bystanders=8)


def overtaken_backfill(seed: int) -> Workload:
    """Make a backfill of two locations; in one of them a Sync All goes before it and is cancelled."""
    here, there = locations_at_home(2, partition)
    kinds = [*still, "loses_its_contact", "gains_its_contact", "is_synced_meanwhile", "lacks_contact"]
    kinds += Random(f"{seed} overtaken").choices(still, k=8)
    jobs = [JobRequest(600, "backfill", partition=partition), JobRequest(900, "job-0", here, cancels=(1_500,))]
    return with_jobs(seed, kinds, jobs, [here, there], bystanders=8, lasts=4_000)


def churning_sync_all(seed: int) -> Workload:
    """Make a Sync All whose contacts change while they are scanned."""
    (location,) = locations_at_home(1, partition)
    kinds = [*still, *Random(f"{seed} churned").choices(churning, k=24)]
    return with_jobs(seed, kinds, [JobRequest(1_500, "job-0", location)], [location], bystanders=20, lasts=8_000)
