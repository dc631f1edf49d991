"""Test the standing of a location with HighLevel: its circuit breaker, pauses for a refused token, and its day."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from processor.highlevel.requests import Call
from processor.highlevel.responses import (
    Found,
    Lost,
    Refused,
    Response,
    ResponseOutcome,
    Unauthorized,
    Unavailable,
    Unsent,
)
from processor.ratelimit.budget import Rate, window_ms
from processor.ratelimit.headers import RateHeaders
from processor.shard.inputs import CurrentToken

from .bench import Bench, answered, contact, here, setup, start, wanted, whole

poison = {f"jane{number}@example.com" for number in range(3)}
Served = Callable[[Call], ResponseOutcome]


def serve(bench: Bench, ms: int, served: Served) -> None:
    """Time passes; each call is answered 50 ms after it left."""
    end = bench.now + ms
    while bench.now < end:
        bench.now += 50
        calls, bench.calls = bench.calls, []
        bench.turn(*(answered(call, served(call)) for call in calls))


def emails(call: Call) -> set[str]:
    return {value for _, value in wanted(call)} if call.kind == "search" else set()


def states(bench: Bench) -> list[tuple[str, str | None]]:
    """Changes of state, with the reason, as published."""
    published = [(status["state"], status["reason"]) for status in bench.take("location.status")]
    return [one for number, one in enumerate(published) if number == 0 or published[number - 1] != one]


def outcomes(bench: Bench) -> Mapping[str, tuple[str, str | None]]:
    return {result["lead_id"]: (result["outcome"], result["reason"]) for result in bench.take()}


def bench_of(count: int, **more: Any) -> Bench:
    """Leads that lack their contact alone, so that one search is enough."""
    bench = Bench(setup(**more), [contact(number) for number in range(count)])
    for number in range(count):
        bench.changed(f"lead-{number}", **{**whole, "email": f"jane{number}@example.com"})
    return bench


def test_a_lead_that_fails_alone_is_tried_at_growing_delays_and_given_up_after_eight() -> None:
    """Other leads are served all the while, so HighLevel is healthy."""
    bench = Bench(setup(probe_size=1), [contact(number) for number in range(400)])
    bench.changed("poisoned", email="poisoned@example.com")
    for number in range(250):
        bench.changed(f"lead-{number}", email=f"jane{number}@example.com")
        serve(
            bench, 1_000, lambda call: Lost("timeout") if "poisoned@example.com" in emails(call) else bench.lookup(call)
        )

    tries = [call.permit.granted for call in bench.made if "poisoned@example.com" in emails(call)]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert len(tries) == 8
    assert gaps == sorted(gaps)
    assert outcomes(bench)["poisoned"] == ("failed", "unavailable")


def test_a_poisoned_e_mail_holds_no_other_lead_up_for_long() -> None:
    """One of 50 e-mails makes every search that has it fail: the 49 others are linked within 15 s."""
    bench = bench_of(50)
    serve(
        bench,
        15_000,
        lambda call: Unavailable("status 500") if "jane7@example.com" in emails(call) else bench.lookup(call),
    )

    found = outcomes(bench)
    assert {"updated"} == {outcome for outcome, _ in found.values()}
    assert {f"lead-{number}" for number in range(50)} - {"lead-7"} == set(found)


def test_five_failures_in_a_row_open_the_circuit_and_one_answer_closes_it() -> None:
    bench = bench_of(1)
    serve(bench, 900_000, lambda call: Unavailable("status 503"))
    assert ("unavailable", None) in states(bench)
    assert outcomes(bench) == {}

    bench.later(70_000)
    assert {("updated", None)} == {*outcomes(bench).values()}
    assert states(bench)[-1] == ("ok", None)


def test_while_the_circuit_is_open_one_call_at_a_time_probes_each_from_another_piece_of_work() -> None:
    """The urgent one isn't probed each time; and every other probe is of no lead's."""
    bench = bench_of(40)
    bench.sync("lead-7", deadline_s=3_600)
    serve(bench, 1_200_000, lambda call: Lost("reset"))

    probes = [call for call in bench.made if len(wanted(call)) == 1][-16:]
    gaps = [later.permit.granted - earlier.permit.granted for earlier, later in pairwise(probes)]
    assert all(60_000 <= gap <= 76_000 for gap in gaps)
    assert all(bool(earlier.questions) != bool(later.questions) for earlier, later in pairwise(probes))
    assert len({ask.lead for call in probes for ask in call.questions}) == 8


@pytest.mark.parametrize("probe_size", [1, 50])
@pytest.mark.parametrize("poisoned", [1, 3])
def test_poisoned_leads_alone_do_not_keep_the_circuit_open(poisoned: int, probe_size: int) -> None:
    """Nothing else is pending, so only a probe without a lead can show that HighLevel is healthy."""
    bench = bench_of(poisoned, probe_size=probe_size)
    serve(bench, 400_000, lambda call: Unavailable("status 500") if emails(call) & poison else bench.lookup(call))

    assert {f"lead-{number}": ("failed", "unavailable") for number in range(poisoned)} == outcomes(bench)
    assert states(bench)[-1] == ("ok", None)


@pytest.mark.parametrize("outcome", [Unsent("connect"), Lost("dns"), Unavailable("status 403")])
def test_what_does_not_reach_highlevel_opens_the_circuit_too(outcome: ResponseOutcome) -> None:
    """A call that can't connect in time counts as no attempt, and isn't made again at once for ever."""
    bench = bench_of(1)
    serve(bench, 60_000, lambda call: outcome)

    assert states(bench)[-1] == ("unavailable", None)
    assert len(bench.made) <= 12


def test_our_own_lateness_opens_nothing() -> None:
    bench = bench_of(1)
    serve(bench, 5_000, lambda call: Unsent("late"))

    assert {"ok"} == {state for state, _ in states(bench)}


def test_an_open_circuit_is_handed_over() -> None:
    bench = bench_of(40, probe_size=1)
    serve(bench, 60_000, lambda call: Unavailable("status 503"))
    successor = bench.reopened()
    successor.later(500)

    assert len(successor.made) <= 1


# a refused token


def refuse(bench: Bench, why: Any, token: str | None = "old") -> None:
    """All calls in flight come back: the token is refused."""
    bench.now += 50
    calls, bench.calls = bench.calls, []
    bench.turn(*(Response(call, Unauthorized(why), 401, None, None, token) for call in calls))


@pytest.mark.parametrize("why", ["expired", "scope", "revoked", "location", "missing", "version", "unknown"])
def test_a_refused_token_pauses_the_location_but_for_a_trial_each_ten_minutes(why: str) -> None:
    bench = bench_of(1)
    refuse(bench, why)
    assert states(bench)[-1] == ("unauthorized", why)
    bench.later(599_000)
    assert len(bench.made) == 1
    bench.later(2_000)

    assert {"lead-0": ("updated", None)} == outcomes(bench)
    assert states(bench)[-1] == ("ok", None)


def test_a_trial_that_is_refused_pauses_for_ten_minutes_more() -> None:
    bench = bench_of(9, probe_size=1)
    refuse(bench, "revoked")
    before = len(bench.made)
    for _ in range(4):
        bench.later(599_000)
        bench.now += 1_000
        bench.turn()
        refuse(bench, "revoked")

    trials = [call.permit.granted for call in bench.made[before:]]
    assert len(trials) == 4
    assert all(later - earlier >= 600_000 for earlier, later in pairwise(trials))


def test_a_sync_may_try_once_a_minute() -> None:
    bench = bench_of(1)
    refuse(bench, "revoked")
    for number in range(30):
        bench.sync("lead-0", f"request-{number}", deadline_s=3_600)
        serve(bench, 10_000, lambda call: Unauthorized("revoked"))

    granted = [call.permit.granted for call in bench.made]
    assert all(60_000 <= later - earlier <= 70_000 for earlier, later in pairwise(granted))
    assert 5 <= len(granted) <= 6


def test_another_token_lets_the_location_go_on_at_once() -> None:
    """The shard asks after the token by the fingerprint of the refused one, and gets another."""
    bench = bench_of(1)
    refuse(bench, "expired")
    effects = bench.turn(bench.event("lead.changed", lead_id="lead-9", revision=1, email="jane0@example.com"))
    assert [(here, "old")] == effects.refused_tokens
    bench.turn(CurrentToken(here, "old"))
    assert len(bench.made) == 1

    bench.turn(CurrentToken(here, "new"))
    bench.answer()
    assert {"lead-0": ("updated", None), "lead-9": ("updated", None)} == outcomes(bench)


def test_a_paused_location_is_looked_at_now_and_then() -> None:
    bench = bench_of(1)
    refuse(bench, "missing", token=None)
    watched = 0
    for _ in range(300):
        bench.now += 1_000
        watched += (here, None) in bench.turn().refused_tokens if bench.wake_at and bench.wake_at <= bench.now else 0

    assert 25 <= watched <= 35


def test_a_paused_location_without_work_is_looked_at_now_and_then_as_well() -> None:
    """Else its status would still be the old one when all is well again."""
    bench = Bench()
    bench.sync(
        lead={"location_id": here, "lead_id": "lead-1", "revision": 1, "email": "jane1@example.com"}, deadline_s=1
    )
    refuse(bench, "revoked")
    bench.later(10_000)
    looks = 0
    while bench.now < start + 310_000:
        assert bench.wake_at is not None
        bench.now = bench.wake_at
        looks += (here, "old") in bench.turn().refused_tokens

    assert 4 <= looks <= 8


def test_an_answer_to_a_call_made_before_the_refusal_ends_no_pause() -> None:
    bench = Bench(setup(probe_size=1), [contact(1)])
    bench.changed("lead-1", email="jane1@example.com")
    bench.now += 200
    bench.changed("lead-2", email="jane2@example.com")
    first, second = bench.calls
    bench.turn(Response(second, Unauthorized("revoked"), 401, None, None, "old"))
    bench.turn(answered(first, Found((), 0)))

    assert states(bench)[-1] == ("unauthorized", "revoked")


def test_a_pause_is_handed_over() -> None:
    bench = bench_of(1)
    refuse(bench, "revoked")
    successor = bench.reopened()
    successor.later(300_000)

    assert successor.made == []


# the day, and what headers say of it


def test_a_spent_day_is_reported_and_waited_out() -> None:
    bench = bench_of(3, probe_size=1, rate=Rate(per_day=2))
    bench.later(60_000)
    assert len(bench.made) == 2
    assert states(bench)[-1] == ("daily_budget", None)
    bench.now += 26 * 3_600_000
    bench.later(1_000)

    assert {f"lead-{number}": ("updated", None) for number in range(3)} == outcomes(bench)
    assert states(bench)[-1] == ("ok", None)


def test_headers_tighten_the_budget() -> None:
    """HighLevel has counted 95 calls of others: ours must be few for an interval."""
    bench = bench_of(60, probe_size=1)
    headers = RateHeaders(limit=100, remaining=4)
    first, bench.calls = bench.calls, []
    bench.now += 50
    bench.turn(*(Response(call, bench.lookup(call), 200, headers, None) for call in first))
    serve(bench, window_ms - 100, bench.lookup)
    few = len(bench.made)
    serve(bench, 2 * window_ms, bench.lookup)

    assert few <= 5
    assert len(bench.made) == 60
    assert "tightened" in {event.name for event in bench.telemetry}


def test_a_request_of_its_own_that_is_refused_says_nothing_of_the_location() -> None:
    bench = bench_of(8, probe_size=1)
    serve(bench, 3_000, lambda call: Refused(422))

    assert {"ok"} == {state for state, _ in states(bench)}
    assert {("failed", "refused")} == {*outcomes(bench).values()}
