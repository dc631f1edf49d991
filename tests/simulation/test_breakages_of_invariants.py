"""Each invariant of DESIGN §6 has checkers, and each of those objects to a breakage within a few seeds. `test_breakages.py`
has those of the first hour; here are the others, and the table."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import pytest

from processor.engine import clock, inbox, runner
from processor.engine.dispatch import Dispatch
from processor.engine.ports import Log, Ports
from processor.highlevel.requests import Call, Request, request
from processor.highlevel.responses import Response
from processor.ratelimit import budget
from processor.ratelimit.budget import Budget, Lane, Rate
from processor.shard import export, hear, settle
from processor.shard.job import Job
from processor.shard.request import Request as Asked
from processor.shard.setup import Setup
from processor.shard.state import Changes, State
from tests.lab.checkers.invariants import invariants, liveness, other_promises
from tests.lab.faults import HighLevelFaults, Outage
from tests.lab.workload.workload import flood, of_kinds
from tests.simulation.checkers import all_checkers, objecting
from tests.simulation.faults.kills import Kill
from tests.simulation.runs.fault_worlds import stepped_clocks
from tests.simulation.runs.job_worlds import spent_day
from tests.simulation.runs.kill_points import small_budget
from tests.simulation.runs.load_worlds import (
    failing_neighbour,
    full_log,
    interactive_beside_backlog,
    interactive_overload,
)
from tests.simulation.runs.message_worlds import jobs_with_messages
from tests.simulation.runs.run import Run, World
from tests.simulation.runs.worker_worlds import one_worker, worker_group
from tests.simulation.test_breakages import Runs, Seeds, Trial, breakages, killed, talkative_alone
from tests.simulation.world import highlevel
from tests.simulation.world.broker import Faults, Kafka
from tests.simulation.world.log import Session
from tests.simulation.world.state_disk import MortalState

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Once:
    """One run in which a breakage must show."""

    world: Callable[[int], Run]

    def runs(self) -> Sequence[Run]:
        return [self.world(0)]


# 1: budget


def freeze_not_persisted(patch: Patch) -> None:
    """What a 429 said is known to the worker that heard it."""
    encode = Budget.encode
    patch.setattr(Budget, "encode", lambda self: orjson.dumps({**orjson.loads(encode(self)), "frozen_until": 0}))


def raw_wall_clock(patch: Patch) -> None:
    """Now is what the wall says, though it be set meanwhile."""
    patch.setattr(clock.WallClock, "now", lambda self: self._wall_ns() // 1_000_000)
    patch.setattr(clock.WallClock, "settled_at", lambda self: 0)


def calls_in_flight_unbounded(patch: Patch) -> None:
    patch.setattr(budget, "in_flight_limit", 10**9)


def reserve_given_to_jobs(patch: Patch) -> None:
    patch.setattr(Rate, "kept_from", lambda self, lane: 0)


# 2: nothing lost


def positions_from_group_offsets(patch: Patch) -> None:
    """What was fetched counts as done, whatever became of its turn."""
    offsets: WeakKeyDictionary[Kafka, dict[int, dict[str, int]]] = WeakKeyDictionary()
    take = Session._take

    def committed(self: Session, limit: int) -> Any:
        records = take(self, limit)
        offsets.setdefault(self.kafka, {})[self.partition] = dict(self.at)
        return records

    def positions(state: State) -> dict[str, int]:
        assert isinstance(state, MortalState)
        return offsets.get(state.worker.kafka, {}).get(state.partition, {})

    patch.setattr(Session, "_take", committed)
    patch.setattr(runner, "positions", positions)


def failed_batch_ignored(patch: Patch) -> None:
    """A transaction commits though one of its batches was refused."""

    async def ignored(self: Session) -> None: ...

    patch.setattr(Session, "_batch_failed", ignored)


def stale_state_accepted(patch: Patch) -> None:
    """A state file that is there is taken for the newest."""
    restore = runner.restore

    async def trusting(setup: Setup, ports: Ports, log: Log, state: State, end: int) -> None:
        await restore(setup, ports, log, state, state.position or end)

    patch.setattr(runner, "restore", trusting)


def malformed_records_dropped(patch: Patch) -> None:
    patch.setattr(hear, "bury", lambda changes, setup, one, now: None)


def strays_dropped(patch: Patch) -> None:
    patch.setattr(hear, "rehome", lambda changes, setup, event, location, now: None)


# 3: once


def requests_forgotten(patch: Patch) -> None:
    """A Sync that was answered is as if it had never been."""
    encode = Asked.encode
    patch.setattr(Asked, "encode", lambda self: encode(self) if self.answered is None else None)


def answers_heard_anew(patch: Patch) -> None:
    """Whether an answer was heard before isn't asked."""
    land = Budget.land

    def landed(self: Budget, number: int, now: int, answered: bool) -> bool:
        land(self, number, now, answered)
        return True

    patch.setattr(Budget, "land", landed)


# 4: order


def counts_begun_anew(patch: Patch) -> None:
    """What a job has counted isn't kept."""
    decode = Job.decode.__func__  # type: ignore[attr-defined]  # a class method's function

    def forgetful(kind: type[Job], location: str, request: str, stored: bytes) -> Job:
        job: Job = decode(kind, location, request, stored)
        job.tally.spent = 0
        return job

    patch.setattr(Job, "decode", classmethod(forgetful))


def messages_joined_by_page(patch: Patch) -> None:
    """Whoever said the first message of a page said all of them."""
    join = export.join

    def mixed(changes: Changes, job: Job, said: Sequence[Any], start: int, now: int) -> int:
        return join(changes, job, [replace(one, contact=said[0].contact) for one in said], start, now)

    patch.setattr(export, "join", mixed)


# 5: no accidental contact


def contacts_written_where_they_are_read(patch: Patch) -> None:
    def written(what: Any) -> Request:
        asked = request(what)
        return replace(asked, method="POST") if asked.method == "GET" else asked

    patch.setattr(highlevel, "request", written)


# 6: interactive first


def lanes_ignored(patch: Patch) -> None:
    """Whoever waits longest is next, as far as the budget knows: the lowest lane."""
    patch.setattr(Budget, "choose", lambda self, waiting: max(waiting))


def lower_lanes_starved(patch: Patch) -> None:
    def choose(self: Budget, waiting: Sequence[Lane]) -> Lane:
        return min(waiting)

    patch.setattr(Budget, "choose", choose)


# 7: isolation


def one_pool_for_all(patch: Patch) -> None:
    """All locations share 20 connections."""
    pools: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
    answer = Dispatch._answer

    async def pooled(self: Dispatch, call: Call) -> Response:
        async with pools.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(20)):
            return await answer(self, call)

    patch.setattr(Dispatch, "_answer", pooled)


# 8: bounded memory


def whole_log_in_a_turn(patch: Patch) -> None:
    patch.setattr(inbox, "records_at_most", 10**9)


# and all of it ends


def looked_for_again_too_late(patch: Patch) -> None:
    patch.setattr(settle, "look_again_ms", (15_000, 400_000))


told_to_wait = World(Rate(22), 1, highlevel_faults=HighLevelFaults(outages=(Outage(0, 15_000, None, "429"),)))
succeeded = Trial(
    [flood(seed, leads=8) for seed in range(4)],
    told_to_wait,
    lambda: [[Kill(after_ms=ms, state="lost", pause_ms=1)] for ms in (1_300, 1_600, 2_000, 3_000)],
)
refusing = Trial([of_kinds(seed) for seed in range(5)], World(kafka_faults=Faults(20_000, refused=0.3)))
restarted = Trial(
    [of_kinds(seed) for seed in range(5)],
    small_budget,
    lambda: [[Kill(after_ms=ms, state="stale", pause_ms=1)] for ms in (2_000, 3_000, 4_000)],
)
patient_world = Trial([of_kinds(seed, ["young_without_contact"] * 3) for seed in range(3)], World(rest_ms=600_000))

more = [
    (freeze_not_persisted, succeeded, "patient"),
    (raw_wall_clock, Seeds(stepped_clocks), "budget"),
    (calls_in_flight_unbounded, Seeds(failing_neighbour), "few_at_once"),
    (reserve_given_to_jobs, Seeds(spent_day), "leaves_the_reserve"),
    (positions_from_group_offsets, killed, "nothing_lost"),
    (failed_batch_ignored, refusing, "nothing_lost"),
    (stale_state_accepted, restarted, "once"),
    (malformed_records_dropped, Seeds(one_worker), "dead_lettered"),
    (strays_dropped, Seeds(one_worker), "forwarded_home"),
    (requests_forgotten, Seeds(one_worker), "once"),
    (answers_heard_anew, Seeds(worker_group, 181), "calls_reported"),
    (counts_begun_anew, Seeds(jobs_with_messages), "counts_grow"),
    (messages_joined_by_page, talkative_alone, "no_foreign_messages"),
    (contacts_written_where_they_are_read, Seeds(one_worker), "no_contact_made"),
    (lanes_ignored, Seeds(interactive_beside_backlog), "interactive_first"),
    (lower_lanes_starved, Seeds(interactive_overload), "no_lane_starves"),
    (one_pool_for_all, Seeds(failing_neighbour), "isolated"),
    (whole_log_in_a_turn, Once(full_log), "held_in_bounds"),
    (looked_for_again_too_late, patient_world, "ends_soon"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("breakage", "trial", "oracle"), more, ids=[f"{one.__name__}-{oracle}" for one, _, oracle in more]
)
def test_the_breakage_is_caught(
    breakage: Callable[[Patch], None], trial: Runs, oracle: str, monkeypatch: Patch
) -> None:
    breakage(monkeypatch)

    assert any(oracle in objecting(run) for run in trial.runs())


@pytest.mark.slow
@pytest.mark.parametrize("trial", [succeeded, refusing, restarted, patient_world, Once(full_log)])
def test_without_a_breakage_the_same_runs_are_clean(trial: Runs) -> None:
    for run in trial.runs():
        assert objecting(run) == set()


def test_each_invariant_has_its_oracles_and_each_oracle_its_place() -> None:
    named = [*invariants.values(), liveness, other_promises]

    assert [*invariants] == [*range(1, 9)]
    assert set().union(*named) == {*all_checkers}


def test_each_oracle_of_an_invariant_was_seen_to_object() -> None:
    caught = {oracle for _, _, oracle in [*breakages, *more]}

    assert set().union(*invariants.values()) <= caught
