"""Jobs, simulated: Sync Alls and backfills, whatever happens to their workers, leads and contacts.

`python -m tests.simulation --world jobs --seed N` plays a seed again.
"""

from functools import cache

import pytest

from tests.lab.checkers.job_history import job_histories
from tests.lab.workload.job_workload import overtaken_backfill, small_sync_all
from tests.lab.workload.lead_kinds import waiting_kinds
from tests.lab.workload.workload import partition
from tests.simulation.faults.kills import Kill, StateLeft, states_left
from tests.simulation.runs.job_worlds import jobs, jobs_in_group, small_world, spent_day, stalled_scan
from tests.simulation.runs.kill_points import MakeWorkload, kill_points, kills_at_each_point
from tests.simulation.runs.play import play
from tests.simulation.runs.run import Run
from tests.simulation.runs.shortest import assert_no_flaws

spent_days = (12, 26)  # seeds in which a day is indeed spent before the jobs are done
spent_once = cache(spent_day)
undisturbed = cache(lambda make: play(make(0), world=small_world))


def outlived(make: MakeWorkload, kill: Kill) -> Run:
    """Play a small job whose worker loses its partition like this. From outside that can't be seen."""
    run = play(make(0), [kill], small_world)

    assert_no_flaws(run)
    return run


# undisturbed


def test_a_small_job_scans_and_every_lead_has_its_outcome() -> None:
    run = undisturbed(small_sync_all)
    (job,) = job_histories(run.history)

    assert_no_flaws(run)
    assert job.end is not None
    assert (job.end.kind, job.end.data["plan"], job.end.data["leads_total"]) == ("sync.completed", "scan", 12)


# killed at every await in turn


@pytest.mark.slow
@pytest.mark.parametrize("make", [small_sync_all, overtaken_backfill])
@pytest.mark.parametrize("state", states_left)
def test_killed_at_many_an_await_a_job_goes_on(make: MakeWorkload, state: StateLeft) -> None:
    for kill in list(kills_at_each_point(0, state, make, small_world))[10 * states_left.index(state) :: 60]:
        outlived(make, kill)


@pytest.mark.slow
@pytest.mark.parametrize("make", [small_sync_all, overtaken_backfill])
@pytest.mark.parametrize("state", states_left)
def test_killed_at_every_await_in_turn_a_job_goes_on(make: MakeWorkload, state: StateLeft) -> None:
    for kill in list(kills_at_each_point(0, state, make, small_world))[states_left.index(state) :: len(states_left)]:
        outlived(make, kill)


def test_a_crash_costs_the_calls_without_a_committed_response_and_no_more() -> None:
    """It costs one page, too, because a page may be ingested in part."""
    for kill in list(kills_at_each_point(0, "lost", small_sync_all, small_world))[5::30]:
        costs_what_was_not_committed(outlived(small_sync_all, kill))


@pytest.mark.slow
def test_no_crash_costs_more_than_the_calls_without_a_committed_response() -> None:
    for kill in kills_at_each_point(0, "lost", small_sync_all, small_world):
        costs_what_was_not_committed(outlived(small_sync_all, kill))


def costs_what_was_not_committed(run: Run) -> None:
    dead = run.workers[0]
    died = next((at for at, who, what, _ in run.trace.entries if (who, what) == (dead.name, "dies")), run.loop.ms)
    commits = sorted(
        {
            entry.transaction.ended
            for _, entry in run.kafka.committed("processor.changelog", partition)
            if entry.transaction and entry.transaction.ended <= died
        }
    )
    ingested_by = commits[-2] if len(commits) > 1 else 0  # the last committed turn has ingested all responses before
    lost = [
        one for one in run.server.sent if one.worker == dead.name and (one.until is None or one.until > ingested_by)
    ]
    before = undisturbed(small_sync_all)

    assert len(run.server.arrivals) <= len(before.server.arrivals) + len([one for one in lost if not one.page]) + 1
    assert pages(run) <= pages(before) + 1


def pages(run: Run) -> int:
    return sum(one.page is not None and one.arrived is not None for one in run.server.sent)


@pytest.mark.parametrize("how", ["stalls", "drains"])
def test_a_job_is_handed_over_by_a_worker_that_leaves_or_finds_out_too_late(how: str) -> None:
    for step, point in kill_points(0, small_sync_all, small_world)[::50]:
        if how == "drains" or point.commits:
            outlived(small_sync_all, Kill(step, state="lost", pause_ms=1, how=how))  # type: ignore[arg-type]  # one of three


# any trouble


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(12), 60, 455, 2416])  # the last ones found bugs
def test_through_all_faults_jobs_have_no_flaw(seed: int) -> None:
    assert_no_flaws(jobs(seed))


@pytest.mark.parametrize("seed", [*range(4), 1024])  # the last one found a bug
def test_a_backfill_is_done_when_all_partitions_are_whichever_workers_own_them(seed: int) -> None:
    assert_no_flaws(jobs_in_group(seed))


@pytest.mark.parametrize("seed", [*range(4), 5, 173])  # the last ones found a bug
def test_contacts_that_change_while_a_scan_stands_still_are_not_mistaken(seed: int) -> None:
    assert_no_flaws(stalled_scan(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", spent_days)
def test_a_day_that_is_spent_pauses_jobs_and_the_next_one_goes_on_with_them(seed: int) -> None:
    assert_no_flaws(spent_once(seed))


@pytest.mark.slow
def test_the_worlds_of_jobs_have_every_fault() -> None:
    """The worlds above have every kind of lead, plan, end and pause."""
    runs = [jobs(seed) for seed in range(12)] + [spent_once(seed) for seed in spent_days]
    events = [one for run in runs for job in job_histories(run.history) for one in job.events]

    assert {*waiting_kinds} <= {lead.kind for run in runs for lead in run.workload.leads}
    assert {one.data["plan"] for one in events if one.kind == "sync.started"} == {"scan", "probe", None}
    assert {one.kind for one in events} >= {"sync.completed", "sync.cancelled", "sync.paused", "sync.progressed"}
    assert "daily_budget" in {one.data["reason"] for one in events}
    assert any(one.page and one.page[1] for run in runs for one in run.server.sent)
