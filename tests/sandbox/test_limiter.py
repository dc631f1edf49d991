from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.sandbox.limiter import Limiter, Limits

second = 1_000_000  # µs
few = Limits(per_window=3, per_day=1_000)


def admitted(limits: Limits, arrivals: list[int]) -> list[bool]:
    limiter = Limiter(limits)
    return [not limiter.arrive(at).refused for at in arrivals]


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ([0, 1, 2, 3], [True, True, True, False]),
        ([0, 1, 2, 10 * second - 1], [True, True, True, False]),
        ([0, 1, 2, 10 * second], [True, True, True, True]),
        ([0, 1, 2, 10 * second, 10 * second], [True, True, True, True, False]),
        ([9 * second, 9 * second, 9 * second, 11 * second], [True, True, True, False]),
    ],
    ids=["a fourth", "just inside", "a window later", "one slot was freed", "across a fixed boundary"],
)
def test_three_in_any_ten_seconds(arrivals: list[int], expected: list[bool]) -> None:
    assert expected == admitted(few, arrivals)


def test_a_refused_call_spends_nothing() -> None:
    """Hammering doesn't lock a client out for ever, unless the world says so."""
    arrivals = [0, 0, 0, 5 * second, 10 * second, 10 * second, 10 * second]

    assert [True, True, True, False, True, True, True] == admitted(few, arrivals)
    assert [True, True, True, False, True, True, False] == admitted(replace(few, refusals_count=True), arrivals)


def test_it_says_what_is_left_and_when_to_come_back() -> None:
    limiter = Limiter(few)
    limiter.arrive(0)
    limiter.arrive(second)
    third = limiter.arrive(2 * second)
    fourth = limiter.arrive(3 * second + 1)

    assert (0, 997, 86_398_000, 0) == (third.remaining, third.left_today, third.day_reset_ms, third.wait_ms)
    assert ("burst", 7_000) == (fourth.refused, fourth.wait_ms)


def test_a_spent_day_lasts_until_its_reset() -> None:
    limiter = Limiter(Limits(per_day=2, day_ms=60_000))
    verdicts = [limiter.arrive(at * second) for at in (5, 6, 7, 64, 65)]

    assert ["", "", "day", "day", ""] == [verdict.refused for verdict in verdicts]
    assert (0, 58_000, 58_000) == (verdicts[2].left_today, verdicts[2].day_reset_ms, verdicts[2].wait_ms)
    assert (1, 60_000) == (verdicts[4].left_today, verdicts[4].day_reset_ms)


@given(st.lists(st.integers(0, 4 * second), max_size=60), st.integers(1, 5))
def test_no_window_ever_holds_more(gaps: list[int], limit: int) -> None:
    """Of `limit` + 1 admitted calls, the last comes a window or more after the first; and nobody is refused without need."""
    limiter, at, kept = Limiter(Limits(per_window=limit)), 0, list[int]()
    for gap in gaps:
        at += gap
        lately = [call for call in kept if call > at - 10 * second]
        refused = bool(limiter.arrive(at).refused)
        assert (len(lately) >= limit) == refused
        if not refused:
            kept.append(at)

    assert all(later - earlier >= 10 * second for earlier, later in zip(kept, kept[limit:], strict=False))
    assert all(earlier <= later for earlier, later in pairwise(kept))
