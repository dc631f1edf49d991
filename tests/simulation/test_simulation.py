"""The real runner, simulated: whatever happens to its worker, no checker objects.

A failure reports its seed and the shortest trace that shows it. `python -m tests.simulation --seed N [--kill STEP]` plays
a seed again.
"""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from processor.engine.ports import StateFile
from processor.engine.state_file import StateFolder
from processor.shard.store import Store
from processor.telemetry.catalogue import PartitionOpened
from tests.lab.workload.job_workload import overtaken_backfill
from tests.lab.workload.times import start_ms
from tests.lab.workload.workload import Workload, flood, mixed, of_kinds, partition
from tests.simulation.faults.kills import Kill, StateLeft, states_left
from tests.simulation.runs.job_worlds import small_world
from tests.simulation.runs.kill_points import kill_points, kills_at_each_point, small_budget
from tests.simulation.runs.play import play
from tests.simulation.runs.run import World
from tests.simulation.runs.shortest import assert_no_flaws
from tests.simulation.runs.worker_worlds import draw_world, one_worker, overloaded
from tests.simulation.world.broker import Faults
from tests.simulation.world.state_disk import MortalState
from tests.simulation.world.worker import Worker

root = Path(__file__).parents[2]


def outlived(*kills: Kill) -> None:
    """Play a small workload whose worker loses its partition like this. From outside that can't be seen."""
    run = play(of_kinds(0), kills, small_budget)

    assert_no_flaws(run)
    assert len(run.workers) == len(kills) + 1


# undisturbed


@pytest.mark.parametrize("seed", range(3))
def test_an_undisturbed_run_has_no_flaw(seed: int) -> None:
    run = play(mixed(seed))

    assert_no_flaws(run)
    assert len(run.events("lead.updates")) > 30


def test_a_saturated_location_uses_its_whole_budget() -> None:
    """Endless work: the server sees no more than its limit in any 10 s, and 99 % of the rate is used."""
    run = play(flood(1, leads=250), world=World(probe_size=1, kafka_faults=Faults(slow=0)))
    granted = [one.granted - start_ms for one in run.server.sent]

    assert_no_flaws(run)
    assert sum(5_000 <= at < 35_000 for at in granted) >= 0.99 * 270


# one seed, one run


def test_a_seed_gives_the_same_run_bit_for_bit() -> None:
    for seed in range(3):
        assert one_worker(seed).digest() == one_worker(seed).digest()


def test_another_seed_gives_another_run() -> None:
    assert play(of_kinds(0)).digest() != play(of_kinds(1)).digest()


@pytest.mark.slow
def test_hash_randomisation_changes_nothing() -> None:
    """Sets of strings are walked in another order; the topics stay the same, byte for byte."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "5", "--leads", "40", "--kill", "900", "--quiet"]
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        played = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        digests.add(played.stdout.splitlines()[-1])

    assert len(digests) == 1
    assert digests.pop().startswith("digest ")


# killed at every await in turn


@pytest.mark.parametrize("state", states_left)
def test_killed_at_many_an_await(state: StateLeft) -> None:
    """At every thirtieth one; also between Kafka's commit and SQLite's, and between SQLite's commit and the calls."""
    for kill in list(kills_at_each_point(0, state))[10 * states_left.index(state) :: 30]:
        outlived(kill)


@pytest.mark.slow
@pytest.mark.parametrize("state", states_left)
def test_killed_at_every_await_in_turn(state: StateLeft) -> None:
    """One await after the other: every third successor finds the state file as it was, an older one, or none."""
    for kill in list(kills_at_each_point(0, state))[states_left.index(state) :: len(states_left)]:
        outlived(kill)


@pytest.mark.parametrize("state", states_left)
def test_killed_while_it_takes_over(state: StateLeft) -> None:
    """The successor dies as well: while it restores, and in its first turns."""
    halfway = kill_points(0)[100][0]
    for step in range(1, 40, 5):
        outlived(Kill(halfway, state=state, pause_ms=1), Kill(step, state=states_left[step % 3], pause_ms=1))


def test_a_worker_that_finds_out_too_late_is_fenced() -> None:
    """Its successor starts while it still runs: whatever it tries from then on comes to nothing."""
    opened = start_ms + 100  # before that it would fence its successor
    for step, _ in [(step, point) for step, point in kill_points(0) if point.ms > opened][::40]:
        outlived(Kill(step, state="lost", pause_ms=1, how="stalls"))


def test_a_worker_that_is_stopped_hands_over() -> None:
    """It takes in what is in flight and leaves; nothing is done twice, nothing left undone."""
    for step, _ in kill_points(0)[::40]:
        outlived(Kill(step, state="lost", pause_ms=1, how="drains"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stalls", "drains"])
def test_stopped_or_stalled_at_every_await_in_turn(how: str) -> None:
    for step, point in kill_points(0):
        if how == "drains" or point.ms > start_ms + 100:
            outlived(Kill(step, state=states_left[step % 3], pause_ms=1, how=how))  # type: ignore[arg-type]  # one of three


# the state file


def test_the_real_state_file_survives_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_state(self: Worker, partition: int, identity: str, begin: int, end: int) -> StateFile:
        return StateFolder(tmp_path, "processor-2", self.clock)(identity, begin, end)

    monkeypatch.setattr(Worker, "open_state", open_state)
    run = play(of_kinds(0), [Kill(200), Kill(150, pause_ms=1)], small_budget)
    opened = [event.state for worker in run.workers for _, event in worker.events if isinstance(event, PartitionOpened)]

    assert_no_flaws(run)
    assert opened == ["fresh", "kept", "kept"]


@pytest.mark.parametrize(("workload", "world"), [(mixed(2, leads=30), World()), (overtaken_backfill(0), small_world)])
def test_the_state_file_is_a_cache_of_the_changelog(
    workload: Workload, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every commit, a restore from the changelog alone has the same documents and the same projections."""
    differ: list[str] = []
    commit = MortalState.commit

    def compared(self: MortalState, position: int | None) -> None:
        commit(self, position)
        committed = self.worker.kafka.committed("processor.changelog", partition)
        other = Store(sqlite3.connect(":memory:"))
        other.restore([((entry.key or b"").decode(), entry.value) for _, entry in committed], 1)
        list(other.index_restored(self.worker.clock.now()))
        for query in (
            "SELECT key, value FROM document",
            "SELECT location, asker, queue, at, kind, value, width, waiting, matched FROM pending",
            "SELECT location, lead, request FROM open_request",
            "SELECT request, location, lane, accepted_at FROM job",
            "SELECT key, at FROM timer WHERE key NOT LIKE 'location %' AND key NOT LIKE 'schedule %'",
        ):
            here, there = (set(state.connection.execute(query)) for state in (self, other))
            differ.extend(f"{query}: {one}" for one in here ^ there)

    monkeypatch.setattr(MortalState, "commit", compared)

    assert_no_flaws(play(workload, world=world))
    assert differ == []


# any fault


@pytest.mark.parametrize("seed", range(12))
def test_through_all_faults_no_checker_objects(seed: int) -> None:
    assert_no_flaws(one_worker(seed))


@pytest.mark.parametrize("seed", range(8))
def test_a_budget_that_is_not_enough_is_never_overspent(seed: int) -> None:
    """Neither owners that change, nor late calls, nor wrong clocks overspend it."""
    assert_no_flaws(overloaded(seed))


def test_the_worlds_have_every_fault() -> None:
    """The worlds above have kills, faults and skewed clocks."""
    worlds = [draw_world(seed) for seed in range(12)]

    assert {kill.how for kills, _ in worlds for kill in kills} == {"dies", "stalls", "drains"}
    assert {kill.state for kills, _ in worlds for kill in kills} == {*states_left}
    assert any(world.kafka_faults.unknown_outcome for _, world in worlds)
    assert any(world.highlevel_faults.lost for _, world in worlds)
