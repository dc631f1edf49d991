"""The log of arrivals counts the busiest window and the use of the budget."""

import pytest
from hypothesis import given, strategies

from processor.sandbox.arrival_log import ArrivalLog

second = 1_000_000  # µs


def log_of(arrivals: list[int]) -> ArrivalLog:
    log = ArrivalLog()
    for at in arrivals:
        log.arrive(at, "search", refused=False)
    return log


def test_the_report_counts_calls_and_statuses() -> None:
    log = ArrivalLog()
    first = log.arrive(1_000, "search", refused=False)
    second_call = log.arrive(2_500, "contact", refused=True)
    log.arrive(3_000, "search", refused=False)
    log.set_status(first, 200)
    log.set_status(second_call, 429)

    report = log.report()

    assert (3, 2, 1, 3) == tuple(report[name] for name in ("arrivals", "accepted", "refused", "worst_window"))
    assert (1.0, 3.0) == (report["first_ms"], report["last_ms"])
    assert {"search": 2, "contact": 1} == report["calls"]
    assert {"0": 1, "200": 1, "429": 1} == report["statuses"]
    assert [(1.0, "search", 200), (2.5, "contact", 429), (3.0, "search", 0)] == log.entries()


@given(strategies.lists(strategies.integers(0, 6 * second), max_size=50))
def test_the_worst_window_is_the_worst_of_all(gaps: list[int]) -> None:
    arrivals = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    by_hand = [sum(1 for other in arrivals if at - 10 * second < other <= at) for at in arrivals]

    assert max(by_hand, default=0) == log_of(arrivals).worst


def test_a_fixed_boundary_hides_nothing() -> None:
    assert 200 == log_of([10 * second - 1] * 100 + [10 * second + 1] * 100).worst


@pytest.mark.parametrize(
    ("arrivals", "use"),
    [
        ([], None),
        ([5], None),
        ([number * second // 9 for number in range(901)], 1.0),
        ([number * second // 9 * 2 for number in range(901)], 0.5),
        ([0, *(100 * second + number * second // 9 for number in range(901))], 1.0),
    ],
    ids=["nothing", "one call", "9 a second", "half of that", "an idle time before doesn't count"],
)
def test_use_is_measured_while_the_client_is_busy(arrivals: list[int], use: float | None) -> None:
    found = log_of(arrivals).report()["busy"]["use"]

    assert found == use if use is None else found == pytest.approx(use, abs=0.001)
