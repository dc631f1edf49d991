"""Whole workers keep every promise in any world, whatever its seed."""

import pickle
from collections import Counter
from dataclasses import replace

import pytest

from .schedules import names, run, table

parts = 8
seeds_a_part = 4 * len(names)


def test_a_seed_gives_the_same_outcome_and_travels_between_processes() -> None:
    first, second = (replace(run(3), real_s=0.0) for _ in range(2))

    assert first == second == pickle.loads(pickle.dumps(first))  # noqa: S301  # our own
    assert (first.seed, first.world) == (3, names[3])
    assert first.calls > 0


def test_the_table_counts_what_was_played_and_what_went_wrong() -> None:
    outcomes = [run(seed) for seed in range(2)]
    lines = [*table(outcomes)]
    calls = sum(one.calls for one in outcomes)
    deaths = sum((Counter(one.faults) for one in outcomes), Counter[str]())["death"]

    assert any(line.split()[:3] == ["all", "2", f"{calls:,}"] for line in lines)
    assert f"{deaths:>8}  death" in lines


@pytest.mark.slow
@pytest.mark.parametrize("part", range(parts))
def test_whatever_goes_wrong_in_any_world_every_promise_is_kept(part: int) -> None:
    first = 1_000 * len(names) + part * seeds_a_part
    violated = [one for seed in range(first, first + seeds_a_part) if (one := run(seed)).failure]

    assert not violated, "\n\n".join(f"{one.world} {one.seed}: {one.failure}" for one in violated)
