"""Strict servers, each with its own reading of "100 requests per 10 s". They share nothing with the budget under
test."""

from bisect import bisect_right
from collections.abc import Sequence


def sliding_log(arrivals: Sequence[int], limit: int, window_ms: int = 10_000) -> int:
    """The most arrivals in any window (t - 10 s, t]."""
    return max((i + 1 - bisect_right(arrivals, at - window_ms, 0, i + 1) for i, at in enumerate(arrivals)), default=0)


def fixed_window(arrivals: Sequence[int], limit: int, phase_ms: int, window_ms: int = 10_000) -> int:
    """The most arrivals in any window that starts at a multiple of 10 s plus the phase."""
    counts: dict[int, int] = {}
    for at in arrivals:
        number = (at - phase_ms) // window_ms
        counts[number] = counts.get(number, 0) + 1
    return max(counts.values(), default=0)


def token_bucket(arrivals: Sequence[int], limit: int, window_ms: int = 10_000) -> int:
    """The most tokens ever missing from a bucket of `limit` that refills evenly in 10 s."""
    missing = worst = 0
    last = arrivals[0] if arrivals else 0
    for at in arrivals:
        missing = max(0, missing - (at - last) * limit) + window_ms  # in units of 1/window_ms of a token
        worst, last = max(worst, missing), at
    return -(-worst // window_ms)
