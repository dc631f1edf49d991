"""The limiter admits no more calls than any sliding window and any day may hold."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, strategies

from processor.sandbox.limiter import RateLimiter, RateLimits

second = 1_000_000  # µs
few = RateLimits(per_window=3, per_day=1_000)


def admitted(limits: RateLimits, arrivals: list[int]) -> list[bool]:
    limiter = RateLimiter(limits)
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
    """Repeated calls don't lock a client out for ever, unless refusals count."""
    arrivals = [0, 0, 0, 5 * second, 10 * second, 10 * second, 10 * second]

    assert [True, True, True, False, True, True, True] == admitted(few, arrivals)
    assert [True, True, True, False, True, True, False] == admitted(replace(few, refusals_count=True), arrivals)


def test_an_admission_names_the_budget_left_and_the_wait() -> None:
    limiter = RateLimiter(few)
    limiter.arrive(0)
    limiter.arrive(second)
    third = limiter.arrive(2 * second)
    fourth = limiter.arrive(3 * second + 1)

    assert (0, 997, 86_398_000, 0) == (third.remaining, third.left_today, third.day_reset_ms, third.wait_ms)
    assert ("burst", 7_000) == (fourth.refused, fourth.wait_ms)


def test_a_spent_day_lasts_until_its_reset() -> None:
    limiter = RateLimiter(RateLimits(per_day=2, day_ms=60_000))
    admissions = [limiter.arrive(at * second) for at in (5, 6, 7, 64, 65)]

    assert ["", "", "day", "day", ""] == [admission.refused for admission in admissions]
    assert (0, 58_000, 58_000) == (admissions[2].left_today, admissions[2].day_reset_ms, admissions[2].wait_ms)
    assert (1, 60_000) == (admissions[4].left_today, admissions[4].day_reset_ms)


def test_a_lower_limit_holds_at_once_for_what_was_spent_before() -> None:
    limiter = RateLimiter(few)
    for _ in range(3):
        limiter.arrive(0)
    limiter.change(replace(few, per_window=2), second)
    admission = limiter.arrive(2 * second)

    assert ("burst", 0, 8_000) == (admission.refused, admission.remaining, admission.wait_ms)
    assert 2 == admission.limits.per_window


def test_a_day_ends_when_the_server_says_so_and_24_hours_later_again() -> None:
    limiter = RateLimiter(RateLimits(per_day=1))
    limiter.arrive(0)
    limiter.end_day(7 * second)
    hour = 3_600 * second
    times = (6 * second, 7 * second, 8 * second, 24 * hour, 24 * hour + 7 * second)
    admissions = [limiter.arrive(at) for at in times]

    assert ["day", "", "day", "day", ""] == [admission.refused for admission in admissions]
    assert [1_000, 86_400_000, 86_399_000, 7_000, 86_400_000] == [admission.day_reset_ms for admission in admissions]


def test_other_programs_spend_the_same_budget_evenly() -> None:
    """Other programs make 2 of 4 calls: at 5 s and at 10 s, then each 5 s."""
    limiter = RateLimiter(RateLimits(per_window=4, foreign=2))
    times = [0, 4 * second, 5 * second, 5 * second + 1, 9 * second, 10 * second, 14 * second]
    admissions = [limiter.arrive(at) for at in times]

    assert ["", "", "", "burst", "burst", "burst", ""] == [admission.refused for admission in admissions]
    assert [3, 2, 0, 0, 0, 0, 0] == [admission.remaining for admission in admissions]
    assert (2, 0) == (limiter.foreign, limiter.foreign_refused)


def test_other_programs_are_refused_like_us() -> None:
    limiter = RateLimiter(RateLimits(per_window=3, foreign=5))
    limiter.arrive(0)
    admission = limiter.arrive(10 * second - 1)

    assert ("burst", 4, 2) == (admission.refused, limiter.foreign, limiter.foreign_refused)


def test_other_programs_spend_the_day_too() -> None:
    limiter = RateLimiter(RateLimits(per_day=100, foreign=50))
    limiter.arrive(0)

    assert 48 == limiter.arrive(10 * second).left_today


def test_other_programs_begin_and_end_with_a_change() -> None:
    limiter = RateLimiter(few)
    limiter.arrive(0)
    limiter.change(replace(few, foreign=1), 20 * second)
    assert 2 == limiter.arrive(29 * second).remaining
    assert 0 == limiter.arrive(30 * second).remaining
    limiter.change(few, 30 * second)
    assert 2 == limiter.arrive(60 * second).remaining
    assert 1 == limiter.foreign


@given(
    strategies.lists(strategies.integers(0, 4 * second), max_size=60),
    strategies.integers(1, 6),
    strategies.just(0) | strategies.integers(1, 6),
)
def test_all_programs_together_stay_within_the_limit(gaps: list[int], limit: int, foreign: int) -> None:
    """The last of `limit` + 1 admitted calls comes a window or more after the first. No call is refused without need."""
    limiter, at, kept = RateLimiter(RateLimits(per_window=limit, foreign=foreign)), 0, list[int]()
    theirs = 0
    for number, gap in enumerate(gaps):
        at += gap
        began = gaps[0]
        while number and foreign and (came := began + (theirs + 1) * 10 * second // foreign) <= at:
            theirs += 1
            if sum(call > came - 10 * second for call in kept) < limit:
                kept.append(came)
        recent = sum(call > at - 10 * second for call in kept)
        admission = limiter.arrive(at)
        assert (recent >= limit) == bool(admission.refused)
        if not admission.refused:
            kept.append(at)
        assert limit - recent - (not admission.refused) == admission.remaining

    assert theirs == limiter.foreign
    assert all(later - earlier >= 10 * second for earlier, later in zip(kept, kept[limit:], strict=False))
    assert all(earlier <= later for earlier, later in pairwise(kept))


@pytest.mark.parametrize(
    ("given", "named"),
    [({"per_window": 0}, "limit"), ({"per_day": -1}, "daily"), ({"foreign": 10_001}, "foreign")],
)
def test_a_wrong_limit_is_named(given: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: not a whole number from "):
        replace(few, **given)  # type: ignore[arg-type]  # fields of several types
