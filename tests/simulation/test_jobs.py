"""Jobs, simulated: Sync Alls and backfills, whatever happens to their workers, leads and contacts. What is promised of
them is in `promised.py`; `python -m tests.simulation --world jobs --seed N` plays one again."""

import sqlite3
from collections.abc import Callable
from functools import cache

import pytest

from .crowd import crowd
from .deaths import deaths, moments
from .play import Run, play
from .shortest import keeps_every_promise
from .streams import streams
from .toil import few, jobs, overtaken, shared_jobs, spent, stalled, sync_all
from .worker import Found, Kill, Mortal, founds
from .world import Scenario, partition

spent_days = (12, 26)  # seeds in which a day is indeed spent before the jobs are done
spent_once = cache(spent)
undisturbed = cache(lambda tell: play(tell(0), world=few))


def outlived(tell: Callable[[int], Scenario], kill: Kill) -> Run:
    """The worker of a small job loses its partition like this, and nobody outside can tell."""
    run = play(tell(0), [kill], few)

    keeps_every_promise(run)
    return run


# undisturbed


def test_a_small_job_scans_and_every_lead_has_its_outcome() -> None:
    run = undisturbed(sync_all)
    (stream,) = streams(run).values()

    keeps_every_promise(run)
    assert stream.end is not None
    assert (stream.end.kind, stream.end.data["plan"], stream.end.data["leads_total"]) == ("sync.completed", "scan", 12)


# killed at every await in turn


@pytest.mark.slow
@pytest.mark.parametrize("tell", [sync_all, overtaken])
@pytest.mark.parametrize("state", founds)
def test_killed_at_many_an_await_a_job_goes_on(tell: Callable[[int], Scenario], state: Found) -> None:
    for kill in list(deaths(0, state, tell, few))[10 * founds.index(state) :: 60]:
        outlived(tell, kill)


@pytest.mark.slow
@pytest.mark.parametrize("tell", [sync_all, overtaken])
@pytest.mark.parametrize("state", founds)
def test_killed_at_every_await_in_turn_a_job_goes_on(tell: Callable[[int], Scenario], state: Found) -> None:
    for kill in list(deaths(0, state, tell, few))[founds.index(state) :: len(founds)]:
        outlived(tell, kill)


def test_a_crash_costs_the_calls_whose_answers_were_not_committed_and_no_more() -> None:
    """And of pages, which follow each other, one: it may be heard in part."""
    for kill in list(deaths(0, "lost", sync_all, few))[5::30]:
        costs_what_was_not_committed(outlived(sync_all, kill))


@pytest.mark.slow
def test_no_crash_costs_more_than_the_calls_whose_answers_were_not_committed() -> None:
    for kill in deaths(0, "lost", sync_all, few):
        costs_what_was_not_committed(outlived(sync_all, kill))


def costs_what_was_not_committed(run: Run) -> None:
    dead = run.workers[0]
    died = next((at for at, who, what, _ in run.trace.said if (who, what) == (dead.name, "dies")), run.loop.ms)
    commits = sorted(
        {
            entry.transaction.ended
            for _, entry in run.kafka.committed("processor.changelog", partition)
            if entry.transaction and entry.transaction.ended <= died
        }
    )
    heard_by = commits[-2] if len(commits) > 1 else 0  # what came before that, the last committed turn has heard
    unheard = [
        one for one in run.server.sent if one.worker == dead.name and (one.until is None or one.until > heard_by)
    ]
    before = undisturbed(sync_all)

    assert len(run.server.arrivals) <= len(before.server.arrivals) + len([one for one in unheard if not one.page]) + 1
    assert pages(run) <= pages(before) + 1


def pages(run: Run) -> int:
    return sum(one.page is not None and one.arrived is not None for one in run.server.sent)


@pytest.mark.parametrize("how", ["stalls", "drains"])
def test_a_job_is_handed_over_by_a_worker_that_leaves_or_finds_out_too_late(how: str) -> None:
    for step, point in moments(0, sync_all, few)[::50]:
        if how == "drains" or point.commits:
            outlived(sync_all, Kill(step, state="lost", pause_ms=1, how=how))  # type: ignore[arg-type]  # one of three


# any trouble


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(12), 60, 455, 2416])  # the last ones found faults
def test_whatever_goes_wrong_jobs_keep_every_promise(seed: int) -> None:
    keeps_every_promise(jobs(seed))


@pytest.mark.parametrize("seed", [*range(4), 1024])  # the last one found a fault
def test_a_backfill_is_done_when_all_partitions_are_whoever_owns_them(seed: int) -> None:
    keeps_every_promise(shared_jobs(seed))


@pytest.mark.parametrize("seed", [*range(4), 5, 173])  # the last ones found a fault
def test_contacts_that_change_while_a_scan_stands_still_are_not_mistaken(seed: int) -> None:
    keeps_every_promise(stalled(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", spent_days)
def test_a_day_that_is_spent_pauses_jobs_and_the_next_one_goes_on_with_them(seed: int) -> None:
    keeps_every_promise(spent_once(seed))


@pytest.mark.slow
def test_whatever_goes_wrong_with_jobs_includes_something() -> None:
    """The worlds above do hold every kind of lead, plan, end and pause."""
    runs = [jobs(seed) for seed in range(12)] + [spent_once(seed) for seed in spent_days]
    told = [one for run in runs for stream in streams(run).values() for one in stream.said]

    assert {*crowd} <= {tale.kind for run in runs for tale in run.scenario.tales}
    assert {one.data["plan"] for one in told if one.kind == "sync.started"} == {"scan", "probe", None}
    assert {one.kind for one in told} >= {"sync.completed", "sync.cancelled", "sync.paused", "sync.progressed"}
    assert "daily_budget" in {one.data["reason"] for one in told}
    assert any(one.page and one.page[1] for run in runs for one in run.server.sent)


# the state


def test_the_state_of_a_job_is_a_cache_of_the_changelog(monkeypatch: pytest.MonkeyPatch) -> None:
    """After every commit, whoever restores from the changelog alone has the same projections of jobs and their leads."""
    differ: list[str] = []
    commit = Mortal.commit

    def compared(self: Mortal, position: int | None) -> None:
        commit(self, position)
        committed = self.worker.kafka.committed("processor.changelog", partition)
        other = State(sqlite3.connect(":memory:"), project)
        other.restore([((entry.key or b"").decode(), entry.value) for _, entry in committed], 1)
        other.restored(self.worker.clock.now())
        for query in (
            "SELECT key, value FROM document",
            "SELECT location, lead, lane, at, by, value, width, sought, hit FROM pending",
            "SELECT request, location, lane, heard FROM job",
            "SELECT key, at FROM agenda WHERE key NOT LIKE 'location %'",
        ):
            here, there = (set(state.connection.execute(query)) for state in (self, other))
            differ.extend(f"{query}: {one}" for one in here ^ there)

    monkeypatch.setattr(Mortal, "commit", compared)

    keeps_every_promise(play(overtaken(0), world=few))
    assert differ == []
