"""Whole workers keep every promise in each seeded world."""

import pickle
from dataclasses import replace

import pytest

from .schedules import names, run

parts = 8
seeds_a_part = 4 * len(names)


def test_a_seed_gives_the_same_outcome_and_travels_between_processes() -> None:
    first, second = (replace(run(3), real_s=0.0) for _ in range(2))

    assert first == second == pickle.loads(pickle.dumps(first))  # noqa: S301  # our own
    assert (first.seed, first.world) == (3, names[3])
    assert first.calls > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(parts))
def test_every_promise_is_kept_in_any_world(part: int) -> None:
    first = 1_000 * len(names) + part * seeds_a_part
    violated = [one for seed in range(first, first + seeds_a_part) if (one := run(seed)).failure]

    assert not violated, "\n\n".join(f"{one.world} {one.seed}: {one.failure}" for one in violated)
