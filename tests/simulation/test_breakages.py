"""The checkers proved: a checker objects to each breakage within a few seeds, and the same runs are clean without it.

Each invariant of DESIGN §6 has checkers, and each of those objects to a breakage.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from processor.ratelimit.budget import Rate
from tests.lab.checkers.invariants import invariants, liveness, other_promises
from tests.lab.faults import HighLevelFaults, Outage
from tests.lab.workload.job_workload import churning_sync_all, overtaken_backfill, small_sync_all
from tests.lab.workload.message_workload import read_by_location, synced_twice
from tests.lab.workload.workload import Workload, flood, of_kinds
from tests.simulation.breakages import budget, engine, jobs, leads
from tests.simulation.checkers import all_checkers, objecting
from tests.simulation.faults.kills import Kill
from tests.simulation.runs import job_worlds
from tests.simulation.runs.fault_worlds import highlevel_outages, stepped_clocks
from tests.simulation.runs.job_worlds import jobs_in_group, slow_world, small_world, spent_day, stalled_scan
from tests.simulation.runs.kill_points import kill_points, small_budget
from tests.simulation.runs.load_worlds import (
    failing_neighbour,
    full_log,
    interactive_beside_backlog,
    interactive_overload,
)
from tests.simulation.runs.message_worlds import jobs_with_messages, paged_world
from tests.simulation.runs.play import play
from tests.simulation.runs.run import Run, World
from tests.simulation.runs.shortest import failure_report
from tests.simulation.runs.worker_worlds import one_worker, overloaded, worker_group
from tests.simulation.world.broker import Faults
from tests.simulation.world.network import Network

slow_ways = Network(out=(5, 7_000), back=(5, 500))  # what was granted long ago may arrive only now
no_sharing = World(Rate(9), probe_size=1, network=slow_ways)


@dataclass(frozen=True)
class Trial:
    """Runs in which a breakage must show."""

    scenarios: Sequence[Workload]
    world: World = field(default_factory=World)
    kills: Callable[[], Iterable[Sequence[Kill]]] = lambda: [()]

    def runs(self) -> Iterator[Run]:
        return (play(one, kills, self.world) for kills in self.kills() for one in self.scenarios)


@dataclass(frozen=True)
class Seeds:
    """Some of the seeded worlds in which a lot goes wrong."""

    world: Callable[[int], Run]
    first: int = 0

    def runs(self) -> Iterator[Run]:
        return (self.world(seed) for seed in range(self.first, self.first + 20))


class Runs(Protocol):
    def runs(self) -> Iterable[Run]: ...


def now_and_then() -> Iterable[Sequence[Kill]]:
    yield [Kill(after_ms=ms, state="lost", pause_ms=100) for ms in (4_000, 2_500, 3_000)]


def unheard() -> Iterable[Sequence[Kill]]:
    """The worker dies while the end of a transaction is on its way, and it gets lost."""
    deciding = [step for step, point in kill_points(0) if point.deciding]
    return ([Kill(step, lands=False, pause_ms=1)] for step in deciding[::2])


floods = Trial([flood(seed, leads=30) for seed in range(3)], no_sharing, now_and_then)
killed = Trial([of_kinds(0)], small_budget, unheard)
revised = Trial([of_kinds(seed, ["out_of_order"] * 4) for seed in range(5)])
retyped = Trial([of_kinds(seed, ["changes_email"] * 4) for seed in range(5)])


def unheard_ends_of_jobs() -> Iterable[Sequence[Kill]]:
    deciding = [step for step, point in kill_points(0, small_sync_all, small_world) if point.deciding]
    return ([Kill(step, lands=False, pause_ms=1)] for step in deciding)


one_job_killed = Trial([small_sync_all(0)], small_world, unheard_ends_of_jobs)
one_job_alone = Trial([small_sync_all(seed) for seed in range(5)], small_world)
churned_alone = Trial([churning_sync_all(seed) for seed in range(5)], slow_world)
overtaken_alone = Trial([overtaken_backfill(seed) for seed in range(5)], small_world)
synced_alone = Trial([synced_twice(seed) for seed in range(3)], paged_world)
talkative_alone = Trial([read_by_location(seed) for seed in range(3)], paged_world)


@dataclass(frozen=True)
class Once:
    """One run in which a breakage must show."""

    world: Callable[[int], Run]

    def runs(self) -> Sequence[Run]:
        return [self.world(0)]


throttled = World(Rate(22), 1, highlevel_faults=HighLevelFaults(outages=(Outage(0, 15_000, None, "429"),)))
succeeded = Trial(
    [flood(seed, leads=8) for seed in range(4)],
    throttled,
    lambda: [[Kill(after_ms=ms, state="lost", pause_ms=1)] for ms in (1_300, 1_600, 2_000, 3_000)],
)
refusing = Trial([of_kinds(seed) for seed in range(5)], World(kafka_faults=Faults(20_000, refused=0.3)))
restarted = Trial(
    [of_kinds(seed) for seed in range(5)],
    small_budget,
    lambda: [[Kill(after_ms=ms, state="stale", pause_ms=1)] for ms in (2_000, 3_000, 4_000)],
)
patient_world = Trial([of_kinds(seed, ["young_without_contact"] * 3) for seed in range(3)], World(rest_ms=600_000))

breakages: list[tuple[Callable[[pytest.MonkeyPatch], None], Runs, str]] = [
    (engine.ledger_not_handed_over, floods, "budget"),
    (engine.slot_journalled_after_the_call, killed, "permits"),
    (engine.sqlite_committed_before_kafka, killed, "nothing_lost"),
    (budget.slot_freed_at_send, floods, "budget"),
    (budget.lost_slots_freed_too_soon, Seeds(overloaded), "budget"),
    (budget.clocks_taken_for_equal, Seeds(overloaded), "budget"),
    (engine.fenced_shards_reopened_at_once, Seeds(worker_group), "no_fence_war"),
    (engine.fence_ignored, Seeds(worker_group), "journalled"),
    (engine.slot_journalled_after_the_call, killed, "journalled"),
    (budget.send_deadline_ignored, Seeds(worker_group), "permits"),
    (budget.circuit_never_opened, Seeds(highlevel_outages, 1), "one_probe_at_a_time"),
    (budget.circuit_never_opened, Seeds(highlevel_outages, 1), "nothing_lost"),
    (engine.new_tokens_overlooked, Seeds(highlevel_outages, 1), "goes_on_by_itself"),
    (engine.stepped_clock_trusted_at_once, Seeds(stepped_clocks), "unsettled"),
    (leads.revision_check_dropped, revised, "order"),
    (leads.stale_response_applied, retyped, "no_stale_responses"),
    (jobs.pages_turned_before_they_are_ingested, one_job_alone, "no_lead_skipped"),
    (jobs.cursor_forgotten, one_job_alone, "ends_once"),
    (jobs.decided_before_the_catch_up, churned_alone, "no_lead_skipped"),
    (jobs.counted_outside_of_state, one_job_killed, "adds_up"),
    (jobs.cancelled_work_not_detached, overtaken_alone, "no_work_left"),
    (jobs.cancelled_work_not_detached, Seeds(job_worlds.jobs, 50), "all_done"),
    (jobs.copies_forgotten, Seeds(jobs_in_group), "ends_once"),
    (jobs.copies_forgotten, Seeds(jobs_in_group), "copied_to_all"),
    (jobs.repeated_request_run_again, Seeds(job_worlds.jobs), "ends_once"),
    (jobs.cancels_ignored, Seeds(job_worlds.jobs), "ends_once"),
    (jobs.earlier_matches_kept, Seeds(stalled_scan, 170), "no_lead_skipped"),
    (jobs.leads_detached_from_another_job, Seeds(job_worlds.jobs, 60), "all_done"),
    (leads.checkpoint_not_stored, synced_alone, "each_message_once"),
    (leads.overlap_forgotten, synced_alone, "none_missing"),
    (jobs.slice_taken_for_the_page, talkative_alone, "none_missing"),
    (budget.freeze_not_persisted, succeeded, "patient"),
    (engine.raw_wall_clock, Seeds(stepped_clocks), "budget"),
    (budget.calls_in_flight_unbounded, Seeds(failing_neighbour), "few_at_once"),
    (budget.reserve_given_to_jobs, Seeds(spent_day), "leaves_the_reserve"),
    (engine.positions_from_group_offsets, killed, "nothing_lost"),
    (engine.failed_batch_ignored, refusing, "nothing_lost"),
    (engine.stale_state_accepted, restarted, "once"),
    (leads.malformed_records_dropped, Seeds(one_worker), "dead_lettered"),
    (leads.misrouted_events_dropped, Seeds(one_worker), "forwarded_home"),
    (leads.requests_forgotten, Seeds(one_worker), "once"),
    (budget.responses_ingested_twice, Seeds(worker_group, 230), "calls_reported"),
    (jobs.counters_begun_anew, Seeds(jobs_with_messages), "counts_grow"),
    (leads.messages_matched_by_page, talkative_alone, "no_foreign_messages"),
    (engine.contacts_written_where_they_are_read, Seeds(one_worker), "no_contact_made"),
    (budget.lanes_ignored, Seeds(interactive_beside_backlog), "interactive_first"),
    (budget.lower_lanes_starved, Seeds(interactive_overload), "no_lane_starves"),
    (engine.one_pool_for_all_locations, Seeds(failing_neighbour), "isolated"),
    (engine.whole_log_in_a_turn, Once(full_log), "held_in_bounds"),
    (leads.looked_again_too_late, patient_world, "ends_soon"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("breakage", "trial", "checker"), breakages, ids=[f"{one.__name__}-{checker}" for one, _, checker in breakages]
)
def test_the_breakage_is_caught(
    breakage: Callable[[pytest.MonkeyPatch], None], trial: Runs, checker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakage(monkeypatch)

    assert any(checker in objecting(run) for run in trial.runs())


clean: dict[str, Runs] = {
    "floods": floods,
    "killed": killed,
    "revised": revised,
    "retyped": retyped,
    "one job": one_job_alone,
    "one job killed": one_job_killed,
    "churning_sync_all": churned_alone,
    "overtaken_backfill": overtaken_alone,
    "synced": synced_alone,
    "read_by_location": talkative_alone,
    "told to wait": succeeded,
    "refused batches": refusing,
    "restarted": restarted,
    "patient": patient_world,
    "full log": Once(full_log),
}


@pytest.mark.slow
@pytest.mark.parametrize("trial", clean.values(), ids=clean.keys())
def test_without_a_breakage_the_same_runs_are_clean(trial: Runs) -> None:
    for run in trial.runs():
        assert objecting(run) == set()


def test_what_fails_tells_its_seed_and_the_shortest_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report names one lead of four, and its events."""
    leads.revision_check_dropped(monkeypatch)
    kinds = ["no_contact", "lacks_contact", "out_of_order", "ambiguous"]
    failed = next(run for seed in range(20) if "order" in objecting(run := play(of_kinds(seed, kinds, misrouted=0))))
    report = failure_report(failed)

    assert report.startswith(f"seed {failed.workload.seed}, kills []")
    assert "Of 4 leads 1 are enough: {2: 'out_of_order'}" in report
    assert "order: lead-2: revision 2 after 3" in report.splitlines()
    assert "lead.synced lead-2 revision=2" in report
    assert "lead-3" not in report


def test_each_invariant_has_its_checkers_and_each_checker_its_place() -> None:
    named = [*invariants.values(), liveness, other_promises]

    assert [*invariants] == [*range(1, 9)]
    assert set().union(*named) == {*all_checkers}


def test_each_checker_of_an_invariant_was_seen_to_object() -> None:
    caught = {checker for _, _, checker in breakages}

    assert set().union(*invariants.values()) <= caught
