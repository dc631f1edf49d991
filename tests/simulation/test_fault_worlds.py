"""Outages of minutes, refused tokens, poisoned e-mails and stepped wall clocks cost time and nothing else."""

import pytest

from tests.simulation.checkers import objecting
from tests.simulation.runs.fault_worlds import highlevel_outages, poisoned_leads, stepped_clocks
from tests.simulation.runs.shortest import assert_no_flaws


@pytest.mark.parametrize("seed", [1, 2, 5, 9])
def test_outages_and_refused_tokens_fail_no_lead(seed: int) -> None:
    """The location goes on by itself, and only a Sync whose deadline is past has failed."""
    assert_no_flaws(highlevel_outages(seed))


def test_a_poisoned_lead_fails_alone() -> None:
    assert_no_flaws(poisoned_leads(2))


@pytest.mark.parametrize("seed", range(4))
def test_a_stepped_clock_spends_nothing_twice(seed: int) -> None:
    assert_no_flaws(stepped_clocks(seed))


def test_an_outage_keeps_no_worker_awake() -> None:
    """A probe that is due or in flight, or has no question, is no reason to make turn after turn."""
    assert "awake_for_a_reason" not in objecting(highlevel_outages(7))
