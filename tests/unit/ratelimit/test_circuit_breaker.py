"""The circuit breaker opens after five failures in a row and closes on a success."""

from processor.ratelimit.circuit_breaker import CircuitBreaker

start = 1_700_000_000_000


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.fail(start, start + 1_000)
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker()
    seen = []
    for _ in range(5):
        seen.append(breaker.open)
        breaker.fail(start, start + 1_000)

    assert [False] * 5 == seen
    assert (True, start + 1_000) == (breaker.open, breaker.probe_at)


def test_a_success_in_between_begins_the_row_anew() -> None:
    breaker = CircuitBreaker()
    for number in range(20):
        breaker.fail(start, start + 1_000)
        if number % 4 == 3:
            breaker.close()

    assert not breaker.open


def test_only_probes_make_the_next_one_later() -> None:
    """Twenty calls were under way when it opened: their failures are no news."""
    breaker = opened()
    for _ in range(15):
        breaker.fail(start + 900, start + 9_000)
    assert (start + 1_000, 1_000) == (breaker.probe_at, breaker.delay_ms)

    breaker.fail(start + 1_000, start + 3_000)
    assert (start + 3_000, 2_000) == (breaker.probe_at, breaker.delay_ms)


def test_probes_come_at_growing_delays_up_to_a_minute() -> None:
    breaker, delays = opened(), []
    for _ in range(9):
        delays.append(breaker.delay_ms)
        breaker.fail(breaker.probe_at, breaker.probe_at + breaker.delay_ms)

    assert [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000] == delays


def test_closed_it_is_as_new() -> None:
    breaker = opened()
    breaker.close()

    assert CircuitBreaker() == breaker


def test_every_other_probe_is_a_probe_query() -> None:
    breaker, due = opened(), []
    for _ in range(5):
        due.append(breaker.probe_query_due)
        breaker.fail(breaker.probe_at, breaker.probe_at + 1_000)

    assert [False, True, False, True, False] == due
    breaker.close()
    assert not breaker.probe_query_due
