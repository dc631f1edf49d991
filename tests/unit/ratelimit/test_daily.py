"""A location's daily budget, by its own count and by HighLevel's headers."""

from processor.ratelimit.daily import DailyBudget, hour_ms
from processor.ratelimit.headers import RateHeaders

start = 1_700_000_000_000
day_ms = 24 * hour_ms


def nothing(_: int) -> int:
    """Return that no call is on its way."""
    return 0


def granted(day: DailyBudget, calls: int, now: int = start) -> DailyBudget:
    for _ in range(calls):
        day.grant(now)
    return day


def test_the_day_is_the_last_25_hourly_buckets() -> None:
    """No document says when it begins: a call counts until no reset hour could count it any more."""
    day = granted(DailyBudget(), 10)

    assert day.granted(start + day_ms) == 10
    assert (start // hour_ms + 25) * hour_ms == day.free_at(start, per_day=10, reserved=0)
    assert day.granted((start // hour_ms + 25) * hour_ms) == 0


def test_the_day_frees_bucket_by_bucket() -> None:
    day = granted(granted(DailyBudget(), 6), 4, start + 3 * hour_ms)

    assert (start // hour_ms + 25) * hour_ms == day.free_at(start + 4 * hour_ms, per_day=10, reserved=0)
    assert (start // hour_ms + 28) * hour_ms == day.free_at(start + 4 * hour_ms, per_day=10, reserved=7)


def test_a_named_reset_clears_the_day() -> None:
    day = granted(DailyBudget(), 10)
    day.observe_headers(RateHeaders(daily_reset_ms=5_000), in_flight=0, now=start, recent=nothing)
    assert start + 5_000 == day.free_at(start, per_day=10, reserved=0)

    day.roll(start + 4_999, recent=lambda _: 3)
    assert day.granted(start + 4_999) == 10
    day.roll(start + 5_000, recent=lambda _: 3)
    assert day.granted(start + 5_000) == 3  # they may count in the new day


def test_the_day_is_cleared_at_most_once_in_23_hours() -> None:
    """A header that is wrong each time must not open the day each time."""
    day = granted(DailyBudget(), 10)
    day.observe_headers(RateHeaders(daily_reset_ms=1), in_flight=0, now=start, recent=nothing)
    day.roll(start + 1, recent=nothing)
    granted(day, 10, start + 1)
    day.observe_headers(RateHeaders(daily_reset_ms=1), in_flight=0, now=start + 2, recent=nothing)
    day.roll(start + 3, recent=nothing)

    assert day.granted(start + 3) == 10
    assert day.free_at(start + 3, per_day=10, reserved=0) > start + 23 * hour_ms


def test_a_day_that_ends_sooner_than_was_thought_has_ended() -> None:
    """A response that travelled 300 ms named the day's end; a response of the new day comes within 150 ms of it.

    Yesterday's calls, and what was left of it, hold no more; 3 calls may count in the new day.
    """
    day = granted(DailyBudget(), 50)
    day.observe_headers(
        RateHeaders(daily_remaining=50, daily_reset_ms=60_000), in_flight=0, now=start + 300, recent=nothing
    )
    day.observe_headers(
        RateHeaders(daily_remaining=97, daily_reset_ms=day_ms - 50),
        in_flight=0,
        now=start + 60_150,
        recent=lambda _: 3,
    )
    day.roll(start + 60_300, nothing)

    assert (3, 97) == (day.granted(start + 60_300), day.remaining(start + 60_300, per_day=1_000))
    assert start + 60_300 == day.free_at(start + 60_300, per_day=100, reserved=50)


def test_a_late_response_of_yesterday_does_not_bind_today() -> None:
    """It has no calls left, and reports that the day, which has begun, is about to end."""
    day = DailyBudget()
    day.observe_headers(RateHeaders(daily_remaining=9, daily_reset_ms=100), in_flight=0, now=start, recent=nothing)
    day.observe_headers(
        RateHeaders(daily_remaining=999, daily_reset_ms=day_ms - 50), in_flight=0, now=start + 150, recent=nothing
    )
    day.observe_headers(RateHeaders(daily_remaining=0, daily_reset_ms=10), in_flight=0, now=start + 400, recent=nothing)
    day.observe_headers(
        RateHeaders(daily_remaining=998, daily_reset_ms=day_ms - 200), in_flight=0, now=start + 405, recent=nothing
    )

    assert day.remaining(start + 405, per_day=200_000) == 998


def test_a_reported_remainder_lowers_ours_until_the_reset() -> None:
    """Others use the day, too: 3 are left of 200,000, and one call is on its way."""
    day = granted(DailyBudget(), 10)
    day.observe_headers(RateHeaders(daily_remaining=3, daily_reset_ms=60_000), in_flight=1, now=start, recent=nothing)
    assert day.remaining(start, per_day=200_000) == 2

    granted(day, 2)
    assert start + 60_000 == day.free_at(start, per_day=200_000, reserved=0)
    day.observe_headers(
        RateHeaders(daily_remaining=9_000, daily_reset_ms=60_000), in_flight=0, now=start, recent=nothing
    )
    assert day.remaining(start, per_day=200_000) == 0  # a late, older response
    day.roll(start + 60_000, recent=nothing)
    assert day.remaining(start + 60_000, per_day=200_000) == 200_000


def test_nothing_left_without_a_reset_time_holds_for_an_hour() -> None:
    day = DailyBudget()
    day.observe_headers(RateHeaders(daily_remaining=0), in_flight=0, now=start, recent=nothing)
    assert start + hour_ms == day.free_at(start, per_day=200_000, reserved=0)

    day.roll(start + hour_ms, recent=nothing)
    assert start + hour_ms == day.free_at(start + hour_ms, per_day=200_000, reserved=0)


def test_a_day_written_by_a_clock_far_ahead_counts_as_now() -> None:
    """Else its buckets would never be a day old."""
    ahead = start + 365 * day_ms
    day = granted(DailyBudget(), 10, ahead)
    day.observe_headers(RateHeaders(daily_remaining=0, daily_reset_ms=day_ms), in_flight=0, now=ahead, recent=nothing)
    written = day.encode()

    read = DailyBudget.decode(written, longer=1_000, now=start)
    assert {start // hour_ms: 10} == read.hours
    assert (start + day_ms, start + day_ms) == (read.left_until, read.resets_at)
