"""The bars for rebalances: while workers restart, hardly a call of the budget is lost, and none is spent twice."""

from functools import cache

import pytest

from .rebalances import Case, Row, measured, partitions

pytestmark = pytest.mark.slow

row = cache(measured)
per_restart_s = 120


def test_a_saturated_location_uses_its_budget_and_lets_people_go_first() -> None:
    steady = row(Case(), 60)

    assert steady.use >= 0.99
    assert steady.p99_ms <= 400
    assert steady.worst <= 100


@pytest.mark.parametrize(
    "case",
    [
        Case("leaves", per_restart_s),
        Case("leaves", per_restart_s, static=True),
        Case("dies", per_restart_s, static=True),
    ],
    ids=str,
)
def test_a_restart_every_two_minutes_costs_no_more_than_a_fiftieth(case: Case) -> None:
    """A worker that leaves, and a killed one with an instance id, cost seconds of one location each."""
    restarts = row(case, per_restart_s)

    assert restarts.moved
    assert restarts.use >= 0.98
    assert restarts.worst <= 100


def test_a_kill_without_an_instance_id_costs_its_session_and_little_more() -> None:
    """Its partitions stay its own until the group counts it out: 10 s, and until the others know."""
    killed, named = (row(Case("dies", per_restart_s, static), per_restart_s) for static in (False, True))

    assert killed.use >= 1 - seconds_of_one_location(10 + 3 + 2)
    assert killed.use < named.use
    assert killed.worst <= 100


def test_static_members_that_restart_make_no_other_member_join_anew() -> None:
    static: list[Row] = [row(Case(how, per_restart_s, static=True), per_restart_s) for how in ("leaves", "dies")]

    assert [0, 0] == [one.generations for one in static]


def seconds_of_one_location(seconds: float) -> float:
    """Return the share of the calls that all locations may spend between two restarts."""
    return seconds / (partitions * per_restart_s)
