"""Each server counts calls with a load that is known by hand."""

from collections.abc import Callable
from random import Random

import pytest

from .servers import FirstHit, FixedWindow, Gcra, Server, SlidingCounter, SlidingLog, TokenBucket, worst


def loads(server: Server, *arrivals: int) -> list[int]:
    return [server.arrive(at) for at in arrivals]


def test_a_sliding_log_forgets_a_call_after_exactly_ten_seconds() -> None:
    server = SlidingLog()

    assert [1, 2, 3, 3, 1] == loads(server, 0, 1, 9_999, 10_000, 20_000)
    assert 3 == server.worst


def test_a_fixed_window_forgets_all_at_its_end() -> None:
    server = FixedWindow()

    assert [1, 2, 1, 2, 1] == loads(server, 9_998, 9_999, 10_000, 19_999, 40_000)
    assert 2 == server.worst


def test_a_fixed_window_ends_by_its_phase() -> None:
    assert [1, 2, 1, 2] == loads(FixedWindow(phase_ms=300), 9_999, 10_299, 10_300, 20_299)


def test_a_first_hit_window_begins_with_the_first_call_after_the_last_one_ended() -> None:
    server = FirstHit()

    assert [1, 2, 1, 2, 3, 1] == loads(server, 9_000, 18_999, 19_500, 19_501, 29_499, 29_500)
    assert 3 == server.worst


def test_a_bucket_refills_evenly() -> None:
    """Two tokens in 10 s are one in 5: a call after 2.5 s finds half of the first one's token back."""
    server = TokenBucket(limit=2)

    assert [1, 2, 2, 3, 1] == loads(server, 0, 2_500, 5_000, 7_499, 30_000)
    assert 3 == server.worst


def test_gcra_lets_a_burst_through_and_then_one_call_an_interval() -> None:
    """Two in 10 s: two at once are conforming, and then one each 5 s; a millisecond earlier isn't."""
    server = Gcra(limit=2)

    assert [1, 2, 2, 3, 1] == loads(server, 0, 0, 5_000, 9_999, 40_000)
    assert 3 == server.worst


def test_a_sliding_counter_weighs_the_last_windows_calls() -> None:
    """Four calls of the last window count 3 at a quarter of this one, 2.0004 a millisecond before its half, 2 at it."""
    server = SlidingCounter()

    assert [1, 2, 3, 4] == loads(server, 10_000, 10_001, 10_002, 10_003)
    assert [4, 5, 5, 1] == loads(server, 22_500, 24_999, 25_000, 45_000)
    assert 5 == server.worst


def test_a_sliding_counter_counts_by_its_phase() -> None:
    assert [1, 2, 2, 3] == loads(SlidingCounter(phase_ms=5_000), 14_998, 14_999, 20_000, 20_001)


@pytest.mark.parametrize("server", [SlidingLog, FixedWindow, FirstHit, TokenBucket, Gcra, SlidingCounter])
def test_all_refuse_the_hundred_and_first_call_of_a_burst(server: Callable[[], Server]) -> None:
    strict = server()
    found = loads(strict, *[1_700_000_000_000] * 101)

    assert [*range(1, 102)] == found
    assert [False] * 100 + [True] == [load > strict.limit for load in found]


@pytest.mark.parametrize("server", [SlidingLog, FixedWindow, FirstHit, TokenBucket, Gcra, SlidingCounter])
def test_a_refused_call_counts_no_more(server: Callable[..., Server]) -> None:
    strict = server(limit=3)
    found = []
    for at in [10_000] * 6:
        found.append(strict.arrive(at))
        if found[-1] > strict.limit:
            strict.refuse()

    assert [1, 2, 3, 4, 4, 4] == found


@pytest.mark.parametrize("limit", [1, 7, 25, 100])
def test_a_token_bucket_and_gcra_are_the_same_thing(limit: int) -> None:
    random, bucket, gcra, at = Random(limit), TokenBucket(limit), Gcra(limit), 1_700_000_000_000
    for _ in range(2_000):
        at += int(random.expovariate(limit / 9_500))
        assert bucket.arrive(at) == gcra.arrive(at)


def test_the_order_of_the_calls_does_not_matter() -> None:
    assert 3 == worst(SlidingLog(), [20_000, 0, 5, 9_999])
