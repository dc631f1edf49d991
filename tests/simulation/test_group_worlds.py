"""Several workers share the partitions under the real supervisor.

There are rebalances, zombies, fences, and a broker that stays away.
"""

from functools import cache
from typing import get_args

import pytest

from processor.ratelimit.budget import Rate
from tests.lab.workload.times import start_ms
from tests.lab.workload.workload import in_all_partitions
from tests.simulation.checkers import objecting
from tests.simulation.faults.group_faults import GroupFault, GroupFaultKind, as_static_members
from tests.simulation.runs.play_group import play_group
from tests.simulation.runs.run import World
from tests.simulation.runs.shortest import assert_no_flaws
from tests.simulation.runs.worker_worlds import static_members, worker_group
from tests.simulation.world.broker import Faults

group_of, static_group_of = cache(worker_group), cache(static_members)


@pytest.mark.parametrize("seed", range(6))
def test_workers_that_come_and_go_die_freeze_or_are_cut_off_have_no_flaw(seed: int) -> None:
    """So do workers that still believe that they own a partition."""
    assert_no_flaws(group_of(seed))


@pytest.mark.parametrize("seed", range(6))
def test_static_members_have_no_flaw(seed: int) -> None:
    """Though a dead one's partitions wait for it, and two may bear one instance id."""
    assert_no_flaws(static_group_of(seed))


def test_a_frozen_worker_is_fenced_and_comes_back_only_when_the_group_says_so() -> None:
    """When it goes on, its successor has its partitions: it commits nothing, and opens nothing before a heartbeat."""
    starts = [GroupFault(0, "starts", 0), GroupFault(0, "starts", 1)]
    run = play_group(in_all_partitions(3, 40, 2), [*starts, GroupFault(12_345, "freezes", 0, lasts_ms=25_000)])
    frozen = next(worker for worker in run.workers if worker.name == "worker-0")
    fenced = [at for at, event in frozen.events if event.name == "fenced"]
    opened = [at for at, event in frozen.events if event.name == "opening" and at > start_ms + 12_345]

    assert_no_flaws(run)
    assert fenced
    assert min(opened) > min(fenced)


def test_a_transaction_that_takes_too_long_is_aborted_and_its_worker_begins_anew() -> None:
    """It is frozen in a transaction, and alone: the coordinator fences it, and a heartbeat lets it open again."""
    for at in (1_100, 2_300, 4_600):
        faults = [GroupFault(0, "starts"), GroupFault(at, "freezes", lasts_ms=45_000)]
        run = play_group(
            in_all_partitions(1, 40, 2, spread_ms=8_000), faults, World(Rate(90), 1, kafka_faults=Faults(slow=0.5))
        )

        assert_no_flaws(run)
        assert run.kafka.timed_out


def test_a_broker_that_is_gone_for_a_while_costs_time_and_nothing_else() -> None:
    starts = [GroupFault(0, "starts", 0), GroupFault(0, "starts", 1)]
    for at in (3_000, 9_001):
        run = play_group(
            in_all_partitions(5, 40, 2, spread_ms=15_000), [*starts, GroupFault(at, "the broker goes", lasts_ms=40_000)]
        )

        assert_no_flaws(run)


def test_the_worlds_of_a_group_have_every_fault() -> None:
    """Partitions move, commits have an unknown outcome, and workers are fenced."""
    runs = [group_of(seed) for seed in range(6)]

    assert {fault.what for run in runs for fault in run.faults} == {*get_args(GroupFaultKind)}
    assert any(run.world.kafka_faults.unknown_outcome for run in runs)
    assert all(run.group and run.group.moved for run in runs)
    assert any(event.name == "fenced" for run in runs for worker in run.workers for _, event in worker.events)


def test_a_response_that_is_ingested_twice_counts_once() -> None:
    """The first turn that ingested it had committed after all."""
    assert "calls_reported" not in objecting(worker_group(181))


def test_a_static_member_that_is_killed_and_back_at_once_moves_no_partition() -> None:
    """The group doesn't rebalance, and its partitions are its own again."""
    starts = as_static_members([GroupFault(0, "starts", who) for who in range(2)])
    dies = GroupFault(12_345, "dies", 0, lasts_ms=500)
    before, run = (
        play_group(in_all_partitions(3, 40, 4), starts),
        play_group(in_all_partitions(3, 40, 4), [*starts, dies]),
    )
    assert before.group
    assert run.group
    dealt = {one.partition for one in before.group.moved if one.to == "worker-0"}
    since = [one for one in run.group.moved if one.at >= start_ms + dies.at]

    assert_no_flaws(run)
    assert before.group.generation == run.group.generation
    assert {(partition, "worker-0.1") for partition in dealt} == {(one.partition, one.to) for one in since}


def test_a_dynamic_member_that_is_killed_and_back_at_once_makes_all_of_them_join_anew() -> None:
    starts = [GroupFault(0, "starts", who) for who in range(2)]
    before = play_group(in_all_partitions(3, 40, 4), starts)
    run = play_group(in_all_partitions(3, 40, 4), [*starts, GroupFault(12_345, "dies", 0, lasts_ms=500)])

    assert_no_flaws(run)
    assert before.group
    assert run.group
    assert before.group.generation < run.group.generation


def test_a_static_member_that_leaves_is_waited_for() -> None:
    """Its partitions stay idle until it is back, or until its session is over."""
    starts = as_static_members([GroupFault(0, "starts", who) for who in range(2)])
    for lasts_ms, to in ((20_000, {"worker-0.1"}), (45_000, {"worker-1", "worker-0.1"})):
        run = play_group(in_all_partitions(3, 40, 4), [*starts, GroupFault(12_345, "leaves", 0, lasts_ms)])

        assert_no_flaws(run)
        assert run.group
        assert to == {one.to for one in run.group.moved if one.at > start_ms + 12_345}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_static_member_ends_when_its_place_is_taken_and_its_successor_stays(frozen: bool) -> None:
    """Twins under one instance id don't replace each other for ever: the first one drains and ends, even if it is frozen."""
    starts = [GroupFault(at, "starts", who, instance="instance-0") for who, at in ((0, 0), (1, 12_345))]
    freezes = [GroupFault(12_000, "freezes", 0, lasts_ms=15_000)] if frozen else []
    run = play_group(in_all_partitions(3, 40, 2), [*starts, *freezes])

    assert_no_flaws(run)
    assert ["replaced", "stopped"] == [worker.task.result() for worker in run.workers]
    assert run.group
    assert ["worker-0", "worker-0", "worker-1", "worker-1"] == [one.to for one in run.group.moved]


def test_of_twins_that_start_at_once_one_stays() -> None:
    for seed in range(8):
        run = play_group(
            in_all_partitions(seed, 20, 2), [GroupFault(0, "starts", who, instance="instance-0") for who in range(2)]
        )

        assert_no_flaws(run)
        assert ["replaced", "stopped"] == sorted(str(worker.task.result()) for worker in run.workers)


def test_the_worlds_of_static_members_have_twins_and_places_that_are_taken() -> None:
    tasks = [worker.task for seed in range(6) for worker in static_group_of(seed).workers]
    ends = {task.result() for task in tasks if not task.cancelled()}

    assert {"replaced", "stopped"} == ends
