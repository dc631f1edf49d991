"""HighLevel ails for minutes, tokens are refused, e-mails poisoned, wall clocks stepped: it costs time and nothing
else."""

import pytest

from tests.simulation.checkers import objecting
from tests.simulation.runs.fault_worlds import highlevel_outages, poisoned_leads, stepped_clocks
from tests.simulation.runs.shortest import assert_no_flaws


@pytest.mark.parametrize("seed", [1, 2, 5, 9])
def test_outages_and_refused_tokens_fail_no_lead(seed: int) -> None:
    """They pass, or another token comes: the location goes on by itself, and only a Sync whose deadline is past has
    failed."""
    assert_no_flaws(highlevel_outages(seed))


def test_a_poisoned_lead_fails_alone() -> None:
    assert_no_flaws(poisoned_leads(2))


@pytest.mark.parametrize("seed", range(4))
def test_a_stepped_clock_spends_nothing_twice(seed: int) -> None:
    assert_no_flaws(stepped_clocks(seed))


def test_an_outage_keeps_nobody_awake() -> None:
    """A probe that is due, or under way, or of nothing to ask, is no reason to turn again and again."""
    assert "awake_for_a_reason" not in objecting(highlevel_outages(7))
