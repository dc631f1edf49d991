"""The schedule and the workload of a seed."""

from collections import Counter
from itertools import pairwise
from typing import Final

import pytest

from tests.integration.chaos import schedule
from tests.integration.chaos.load import at_first, busy, load, where
from tests.integration.chaos.schedule import Event, quiet_s, seeds_in_proof, seeds_in_test

lasts_s: Final = 60


@pytest.mark.parametrize("seeds", [seeds_in_test, seeds_in_proof], ids=["test", "prove"])
def test_every_kind_of_event_occurs_in_some_seed(seeds: tuple[int, ...]) -> None:
    occurring = {event.kind for seed in seeds for event in schedule.schedule(seed, lasts_s)}

    assert set(schedule.kinds) == occurring


@pytest.mark.parametrize("seed", [*seeds_in_test, *seeds_in_proof])
def test_every_seed_has_deaths_an_outage_a_visit_cuts_and_faults_of_highlevel(seed: int) -> None:
    occurring = {event.kind for event in schedule.schedule(seed, lasts_s)}

    assert all(
        occurring & {*some}
        for some in (schedule.deaths, schedule.outage, schedule.visit, schedule.network, schedule.highlevel_faults)
    )


@pytest.mark.parametrize("seed", [*seeds_in_test, *seeds_in_proof])
def test_nothing_fails_or_is_published_in_the_last_seconds(seed: int) -> None:
    ends = [event.at_s + event.lasts_s for event in schedule.schedule(seed, lasts_s)]

    assert max(ends) <= lasts_s - quiet_s
    assert load(seed, lasts_s).publications[-1].at <= (lasts_s - quiet_s) * 1_000


def test_the_same_seed_is_the_same_schedule_and_load() -> None:
    assert (schedule.schedule(1, lasts_s), load(1, lasts_s)) == (schedule.schedule(1, lasts_s), load(1, lasts_s))
    assert schedule.schedule(1, lasts_s) != schedule.schedule(2, lasts_s)
    assert load(1, lasts_s).publications != load(2, lasts_s).publications


@pytest.mark.parametrize("seed", seeds_in_test)
def test_a_fault_is_over_before_the_next_one_of_its_lane(seed: int) -> None:
    """The network of a worker has a lane of its own."""
    lanes: dict[tuple[str, bool], list[Event]] = {}
    for event in schedule.schedule(seed, lasts_s):
        lanes.setdefault((event.whom, event.kind in schedule.network), []).append(event)

    assert [] == [
        (before, after)
        for events in lanes.values()
        for before, after in pairwise(events)
        if before.at_s + before.lasts_s >= after.at_s
    ]


def test_only_a_member_without_a_name_stands_still_past_its_session() -> None:
    """One with a name has 30 s: a run would be over by then."""
    long = {
        event.whom
        for seed in seeds_in_proof
        for event in schedule.schedule(seed, lasts_s)
        if event.kind in schedule.absence
    }

    assert {*schedule.crew} - {schedule.named} == long


@pytest.mark.parametrize("seed", seeds_in_test)
def test_a_load_has_all_that_upstream_may_publish(seed: int) -> None:
    """Edits, moves to another e-mail, Syncs with and without messages, and malformed records are all there."""
    workload = load(seed, lasts_s)
    of_busy = [lead for lead in workload.leads if lead.kind == "arrives"]
    moved = [lead for lead in of_busy if len(lead.contacts) > 1]
    edited = [lead for lead in of_busy if len(lead.truth.revisions) > 1]
    counts = Counter(lead.location for lead in of_busy)
    talked = [lead for lead in of_busy if lead.truth.wants_messages]
    requests = [request for lead in of_busy for request in lead.truth.requests]
    malformed = [one for one in workload.publications if one.dead_letter]

    assert min(counts[where[name]] for name in busy) > 2 * at_first
    assert all([*lead.truth.revisions] == [*range(1, len(lead.truth.revisions) + 1)] for lead in of_busy)
    assert min(len(moved), len(edited), len(requests), len(talked), len(malformed)) >= 5
