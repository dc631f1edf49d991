"""Test how calls are summed up and judged against the rate budget."""

from tests.lab.harness.calls import Arrival, budget_flaws, summarize_calls


def paced(count: int, every_ms: float, status: int = 200) -> list[Arrival]:
    return [Arrival(number * every_ms, "search", status) for number in range(count)]


def test_a_window_is_half_open() -> None:
    """The first of two calls exactly 10 s apart has left the window when the second comes."""
    assert 1 == summarize_calls({"location-01": paced(2, 10_000)}).worst_window
    assert 2 == summarize_calls({"location-01": paced(2, 9_999)}).worst_window


def test_a_client_within_its_budget_has_no_flaw() -> None:
    lawful, greedy = (summarize_calls({"location-01": paced(400, every_ms)}) for every_ms in (111.2, 90))

    assert [] == list(budget_flaws(lawful, unattributed=0))
    assert ["location-01 made 112 calls in 10 s; HighLevel allows 100."] == list(budget_flaws(greedy, unattributed=0))


def test_refused_and_unattributed_calls_are_flaws() -> None:
    summary = summarize_calls({"location-01": paced(2, 111, status=429)})

    assert ["2 calls were refused (429).", "1 calls named no location, so no budget paid for them."] == list(
        budget_flaws(summary, unattributed=1)
    )


def test_the_pace_is_that_of_the_longest_busy_stretch() -> None:
    """A pause of a second ends a stretch; a location that was hardly busy has none."""
    calls = [*paced(50, 111), *(Arrival(call.at + 20_000, call.kind, call.status) for call in paced(91, 100))]
    (busy,) = summarize_calls({"location-01": calls, "location-02": paced(5, 111)}).busiest

    assert ("location-01", 91, 9.0) == (busy.location, busy.calls, busy.seconds)
    assert (100.0, 100 / 90) == (busy.per_window, busy.use)
