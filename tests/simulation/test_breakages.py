"""Guards proved: each of these breakages is caught by an oracle within a few seeds, and the same runs are clean without
it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from processor.engine import clock, runner, supervisor
from processor.engine.dispatch import Dispatch
from processor.engine.ports import Fenced
from processor.engine.supervisor import Owner
from processor.engine.turn_loop import Turning
from processor.highlevel.requests import Call
from processor.ratelimit import budget
from processor.ratelimit import circuit_breaker as breaker
from processor.ratelimit.budget import Permit, Rate
from processor.shard import export, hear, hear_answer, messages, scan, settle, sync_all
from processor.shard import lead as leads
from processor.shard.job import Job, tallies
from processor.shard.lead import Lead, Open, Question
from processor.shard.state import Changes
from processor.shard.tally import Tally
from processor.shard.turn import Effects
from tests.lab.workload.job_workload import churning_sync_all, overtaken_backfill, small_sync_all
from tests.lab.workload.message_workload import read_by_location, synced_twice
from tests.lab.workload.workload import Workload, flood, of_kinds
from tests.simulation.checkers import objecting
from tests.simulation.faults.kills import Kill
from tests.simulation.runs.fault_worlds import highlevel_outages, stepped_clocks
from tests.simulation.runs.job_worlds import jobs, jobs_in_group, slow_world, small_world, stalled_scan
from tests.simulation.runs.kill_points import kill_points, small_budget
from tests.simulation.runs.message_worlds import paged_world
from tests.simulation.runs.play import play
from tests.simulation.runs.run import Run, World
from tests.simulation.runs.shortest import failure_report
from tests.simulation.runs.worker_worlds import overloaded, worker_group
from tests.simulation.world.log import Session
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
    def runs(self) -> Iterator[Run]: ...


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


def no_ledger_handed_over(patch: pytest.MonkeyPatch) -> None:
    """The budget is spent by each worker on its own."""
    produce = Session._produce

    def forgetful(self: Session, records: Any, rows: Sequence[tuple[str, bytes | None]]) -> int:
        return produce(self, records, [row for row in rows if not row[0].startswith("budget ")])

    patch.setattr(Session, "_produce", forgetful)


def spend_journalled_after_the_call(patch: pytest.MonkeyPatch) -> None:
    """A call leaves, and then its slot is committed."""
    commit = Turning.commit
    hasty: list[Dispatch] = []

    class Hasty(Dispatch):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.gone: set[Permit] = set()
            hasty.append(self)

        def send(self, call: Call) -> None:
            if call.permit not in self.gone:
                self.gone.add(call.permit)
                super().send(call)

    async def late(self: Turning, effects: Effects) -> None:
        for call in effects.calls:
            hasty[-1].send(call)
        await commit(self, effects)

    patch.setattr(runner, "Dispatch", Hasty)
    patch.setattr(Turning, "commit", late)


def sqlite_committed_before_kafka(patch: pytest.MonkeyPatch) -> None:
    """The cache knows what the log never heard of."""

    async def commit(self: Turning, effects: Effects) -> None:
        shard = self.shard
        shard.state.commit(None)
        if effects.records or effects.rows:
            position = await self.log.commit(effects.records, effects.rows)
            shard.state.begin()
            shard.state.commit(position)

    patch.setattr(Turning, "commit", commit)


def slot_freed_at_send(patch: pytest.MonkeyPatch) -> None:
    """Calls granted are counted, calls on their way are not."""
    patch.setattr(budget, "unanswered_ms", 0)


def unanswered_slots_freed_too_soon(patch: pytest.MonkeyPatch) -> None:
    """As if a call without an answer couldn't arrive late."""
    patch.setattr(budget, "unanswered_ms", budget.window_ms + 2_000)


def clocks_taken_for_equal(patch: pytest.MonkeyPatch) -> None:
    """Times of a worker before us count as if they were by our own clock."""
    patch.setattr(budget, "skew_ms", 0)


def revision_check_dropped(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes last is taken for the newest."""

    def newer(lead: Lead, data: Any, timestamp_ms: int, now: int) -> bool:
        lead.take(data.snapshot(), data.revision, data.created_at_ms or timestamp_ms, now)
        return True

    patch.setattr(hear, "newer", newer)


def old_answer_applied_to_a_new_question(patch: pytest.MonkeyPatch) -> None:
    """An answer is taken for whatever its lead wants to know by now."""

    def asked(changes: Changes, call: Call) -> Iterator[tuple[Lead, Open]]:
        for ask in call.asks:
            lead = Lead.of(changes, call.permit.location, ask.lead)
            if lead.open:
                lead.open.question = Question("get" if call.kind == "contact" else ask.by, ask.value)
                yield lead, lead.open

    patch.setattr(hear_answer, "still_asked", asked)


def fenced_shards_reopened_at_once(patch: pytest.MonkeyPatch) -> None:
    """Whoever is fenced doesn't ask first whether the partition is still its own."""

    async def keep(owner: Owner, run: supervisor.Run, partition: int, stop: asyncio.Event) -> None:
        while await run(partition, stop) != "stopped" and not stop.is_set():
            pass

    patch.setattr(supervisor, "keep", keep)


def fence_ignored(patch: pytest.MonkeyPatch) -> None:
    """A worker that has lost the partition goes on, as if its turns had been committed."""
    commit = Turning.commit

    async def deaf(self: Turning, effects: Effects) -> None:
        try:
            await commit(self, effects)
        except Fenced:
            self.shard.state.commit(None)

    patch.setattr(Turning, "commit", deaf)


def send_deadline_ignored(patch: pytest.MonkeyPatch) -> None:
    """A call that waited in a frozen worker leaves when that goes on."""
    patch.setattr(budget, "send_within_ms", 3_600_000)


def circuit_never_opened(patch: pytest.MonkeyPatch) -> None:
    """Whatever fails, the next call follows."""
    patch.setattr(breaker, "opens_after", 10**9)


def new_tokens_overlooked(patch: pytest.MonkeyPatch) -> None:
    """A location whose token was refused waits for its trial, though there is another token."""
    patch.setattr(Dispatch, "look", lambda self, location, token: None)


def stepped_clock_trusted_at_once(patch: pytest.MonkeyPatch) -> None:
    """The clock was set, and old slots are judged by it."""
    patch.setattr(clock, "unsettled_ms", 0)


def pages_turned_before_they_are_heard(patch: pytest.MonkeyPatch) -> None:
    """What a turn doesn't take of a page is never heard."""
    hear_page = scan.hear_page

    def hasty(changes: Changes, setup: Any, asked: Any, answer: Any, found: Any, now: int) -> None:
        if hear_page(changes, setup, asked, answer, found, now) is not None:
            job = Job.of(changes, asked.location, asked.job)
            assert job is not None
            scan.turn_page(changes, setup, job, found, now)

    patch.setattr(hear_answer, "hear_page", hasty)


def cursor_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Where a scan has come to isn't kept."""
    next_page = Job.next_page
    patch.setattr(Job, "next_page", lambda self, after: next_page(self, None))


def decided_before_the_last_pass(patch: pytest.MonkeyPatch) -> None:
    """What happens to contacts during a scan is overlooked."""
    turn_page = scan.turn_page

    def hasty(changes: Changes, setup: Any, job: Job, found: Any, now: int) -> None:
        job.last_pass = job.last_pass or not found.full
        turn_page(changes, setup, job, found, now)

    patch.setattr(scan, "turn_page", hasty)


def counted_outside_of_state(patch: pytest.MonkeyPatch) -> None:
    """What a turn that was never committed has counted stays counted."""
    kept: dict[str, Tally] = {}

    def remembered(changes: Changes, job: Job) -> list[Tally]:
        found = tallies(changes, job)
        former = kept.setdefault(f"{id(asyncio.get_running_loop())} {job.key}", Tally())
        job.tally.done, job.tally.filled = former.done, former.filled
        return found

    patch.setattr(settle, "tallies", remembered)


def cancelled_work_not_given_back(patch: pytest.MonkeyPatch) -> None:
    """A job that was cancelled is over at once, whatever its leads wait for."""

    def leave(changes: Changes, job: Job, now: int, limit: int) -> Sequence[Lead]:
        sync_all.over(changes, job, now)
        return ()

    patch.setattr(sync_all, "leave_leads", leave)


def copies_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A backfill is the matter of the partition that got its request."""
    patch.setattr(hear, "fan_out", lambda changes, setup, event, now: None)


def asked_again_run_again(patch: pytest.MonkeyPatch) -> None:
    """A request id that was heard before is a new job."""

    def begin(changes: Changes, data: Any, event: Any, now: int) -> None:
        job = Job(data.location_id, data.request_id, cause=event.id, dry=data.dry_run)
        sync_all.begin(changes, job, event, now)

    patch.setattr(hear, "location_requested", begin)


def cancels_unheard(patch: pytest.MonkeyPatch) -> None:
    """A job goes on though it was cancelled."""
    patch.setattr(hear, "cancel_requested", lambda changes, setup, data, now: None)


def earlier_hits_kept(patch: pytest.MonkeyPatch) -> None:
    """What a scan that was begun anew had found is as good as what it finds."""
    for room in (scan, sync_all):
        patch.setattr(room, "found_by", lambda job, work: work.hits)


def leads_torn_from_another_job(patch: pytest.MonkeyPatch) -> None:
    """A backfill that is cancelled takes its leads along, whoever has them by now."""

    def leave(self: Open, request: str, lane: int) -> None:
        if request in self.jobs:
            self.jobs.remove(request)
            self.hits = None
            self.give_back()

    patch.setattr(Open, "leave", leave)


def checkpoint_not_stored(patch: pytest.MonkeyPatch) -> None:
    """How far a contact's messages were imported is known to the turn alone."""
    patch.setattr(leads, "stored", tuple(name for name in leads.stored if name != "checkpoints"))


def overlap_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Messages are taken to appear in the order in which they are sent."""
    patch.setattr(messages, "overlap_ms", 0)
    patch.setattr(export, "overlap_ms", 0)


def slice_taken_for_the_page(patch: pytest.MonkeyPatch) -> None:
    """What a turn doesn't take of a page of messages is never heard."""
    join = export.join

    def hasty(changes: Changes, job: Job, said: Any, start: int, now: int) -> int:
        join(changes, job, said, start, now)
        return len(said)

    patch.setattr(export, "join", hasty)


def unheard_ends_of_jobs() -> Iterable[Sequence[Kill]]:
    deciding = [step for step, point in kill_points(0, small_sync_all, small_world) if point.deciding]
    return ([Kill(step, lands=False, pause_ms=1)] for step in deciding)


one_job_killed = Trial([small_sync_all(0)], small_world, unheard_ends_of_jobs)
one_job_alone = Trial([small_sync_all(seed) for seed in range(5)], small_world)
churned_alone = Trial([churning_sync_all(seed) for seed in range(5)], slow_world)
overtaken_alone = Trial([overtaken_backfill(seed) for seed in range(5)], small_world)
synced_alone = Trial([synced_twice(seed) for seed in range(3)], paged_world)
talkative_alone = Trial([read_by_location(seed) for seed in range(3)], paged_world)

breakages = [
    (no_ledger_handed_over, floods, "budget"),
    (spend_journalled_after_the_call, killed, "permits"),
    (sqlite_committed_before_kafka, killed, "nothing_lost"),
    (slot_freed_at_send, floods, "budget"),
    (unanswered_slots_freed_too_soon, Seeds(overloaded), "budget"),
    (clocks_taken_for_equal, Seeds(overloaded), "budget"),
    (fenced_shards_reopened_at_once, Seeds(worker_group), "no_fence_war"),
    (fence_ignored, Seeds(worker_group), "journalled"),
    (spend_journalled_after_the_call, killed, "journalled"),
    (send_deadline_ignored, Seeds(worker_group), "permits"),
    (circuit_never_opened, Seeds(highlevel_outages, 1), "one_probe_at_a_time"),
    (circuit_never_opened, Seeds(highlevel_outages, 1), "nothing_lost"),
    (new_tokens_overlooked, Seeds(highlevel_outages, 1), "goes_on_by_itself"),
    (stepped_clock_trusted_at_once, Seeds(stepped_clocks), "unsettled"),
    (revision_check_dropped, revised, "order"),
    (old_answer_applied_to_a_new_question, retyped, "no_stale_responses"),
    (pages_turned_before_they_are_heard, one_job_alone, "no_lead_skipped"),
    (cursor_forgotten, one_job_alone, "ends_once"),
    (decided_before_the_last_pass, churned_alone, "no_lead_skipped"),
    (counted_outside_of_state, one_job_killed, "adds_up"),
    (cancelled_work_not_given_back, overtaken_alone, "no_work_left"),
    (cancelled_work_not_given_back, Seeds(jobs), "all_done"),
    (copies_forgotten, Seeds(jobs_in_group), "ends_once"),
    (copies_forgotten, Seeds(jobs_in_group), "copied_to_all"),
    (asked_again_run_again, Seeds(jobs), "ends_once"),
    (cancels_unheard, Seeds(jobs), "ends_once"),
    (earlier_hits_kept, Seeds(stalled_scan, 170), "no_lead_skipped"),
    (leads_torn_from_another_job, Seeds(jobs, 60), "all_done"),
    (checkpoint_not_stored, synced_alone, "each_message_once"),
    (overlap_forgotten, synced_alone, "none_missing"),
    (slice_taken_for_the_page, talkative_alone, "none_missing"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("breakage", "trial", "oracle"), breakages, ids=[f"{one.__name__}-{oracle}" for one, _, oracle in breakages]
)
def test_the_breakage_is_caught(
    breakage: Callable[[pytest.MonkeyPatch], None], trial: Runs, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakage(monkeypatch)

    assert any(oracle in objecting(run) for run in trial.runs())


clean = {
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
}


@pytest.mark.slow
@pytest.mark.parametrize("trial", clean.values(), ids=clean.keys())
def test_without_a_breakage_the_same_runs_are_clean(trial: Trial) -> None:
    for run in trial.runs():
        assert objecting(run) == set()


def test_what_fails_tells_its_seed_and_the_shortest_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four leads one is left, with what happened to it."""
    revision_check_dropped(monkeypatch)
    kinds = ["no_contact", "lacks_contact", "out_of_order", "ambiguous"]
    failed = next(run for seed in range(20) if "order" in objecting(run := play(of_kinds(seed, kinds, misrouted=0))))
    told = failure_report(failed)

    assert told.startswith(f"seed {failed.workload.seed}, kills []")
    assert "Of 4 leads 1 are enough: {2: 'out_of_order'}" in told
    assert "order: lead-2: revision 2 after 3" in told.splitlines()
    assert "lead.synced lead-2 revision=2" in told
    assert "lead-3" not in told
