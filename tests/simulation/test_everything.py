"""All faults together, on several workers; and the faults that only some worlds have, one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from processor.ratelimit.budget import Rate
from tests.lab.checkers.job_history import job_histories
from tests.lab.faults import HighLevelFaults, Outage, OutageKind
from tests.lab.workload.redelivery import redelivered
from tests.lab.workload.workload import flood, mixed
from tests.simulation.checkers import objecting
from tests.simulation.faults.observed import count_faults
from tests.simulation.runs.everything import everything
from tests.simulation.runs.play import play
from tests.simulation.runs.run import Run, World
from tests.simulation.runs.shortest import assert_no_flaws
from tests.simulation.world.broker import Faults
from tests.simulation.world.network import Network

run_of = cache(everything)
seeds = range(24)
a_day_is_spent = 147


@pytest.mark.parametrize("seed", range(6))
def test_all_faults_together_break_no_promise(seed: int) -> None:
    assert_no_flaws(run_of(seed))


@pytest.mark.slow
def test_all_faults_do_happen() -> None:
    found = sum((count_faults(run_of(seed)) for seed in seeds), Counter[str]())
    expected = {
        *("death", "freeze", "leave", "fenced", "cut from Kafka", "broker outage", "commit of unknown outcome"),
        *("batch refused", "stale state file", "lost state file", "clock step"),
        *(
            "5xx",
            "403",
            "hang",
            "reset",
            "answer lost",
            "429 with seconds",
            "429 with a date",
            "429 without Retry-After",
        ),
        *("delivered late", "delivered twice", "job cancelled"),
    }

    assert expected <= {*found}
    assert any("token refused" in kind for kind in found)


@pytest.mark.slow
def test_several_workers_share_jobs_and_messages_and_change_hands() -> None:
    runs = [run_of(seed) for seed in seeds]

    assert {len(run.workload.owned) for run in runs} == {1, 2, 3}
    assert any(len({one.worker for one in run.server.sent}) > 1 and run.history.messages_by_lead for run in runs)
    assert {"sync.completed", "sync.cancelled"} <= {
        job.end.kind for run in runs for job in job_histories(run.history) if job.end
    }


@pytest.mark.slow
def test_a_day_is_spent_where_several_workers_are() -> None:
    run = run_of(a_day_is_spent)

    assert_no_flaws(run)
    assert "daily_budget" in {event.data["reason"] for event in run.events("sync.progress")}


# upstream


@pytest.mark.parametrize("seed", range(3))
def test_late_and_repeated_records_change_nothing(seed: int) -> None:
    """The second delivery may come after later records."""
    run = play(redelivered(mixed(seed), late=0.3, twice=0.5))
    revisions = [one.value for one in sorted(run.workload.publications, key=lambda one: one.at)]

    assert_no_flaws(run)
    assert count_faults(run)["delivered late"] > 3
    assert any(revisions.count(value) > 1 for value in revisions)


# HighLevel


def outage(how: OutageKind, lasts_ms: int = 20_000) -> Run:
    """Play an outage that begins at once."""
    faults = HighLevelFaults(outages=(Outage(0, lasts_ms, None, how),))
    return play(flood(3, leads=8), world=World(Rate(22), 1, Network(), faults))


@pytest.mark.parametrize(
    ("how", "outcome"), [("hang", "Lost"), ("reset", "Lost"), ("429", "Throttled"), ("5xx", "Unavailable")]
)
def test_an_outage_of_any_kind_costs_time_and_nothing_else(how: OutageKind, outcome: str) -> None:
    run = outage(how)

    assert_no_flaws(run)
    assert outcome in {one.outcome for one in run.server.sent}


def test_a_hanging_call_ends_by_the_clients_time_out_and_a_reset_one_at_once() -> None:
    hung, reset = (
        [one for one in outage(how).server.sent if one.outcome == "Lost" and one.until] for how in ("hang", "reset")
    )

    assert {(one.until or 0) - one.granted for one in hung} <= {*range(9_900, 10_100)}
    assert max((one.until or 0) - one.at for one in reset) < 200
    assert all(one.arrived for one in [*hung, *reset])


@pytest.mark.slow
def test_a_429_has_a_wait_in_seconds_as_a_date_or_none() -> None:
    """The real parser reads the date against the server's own clock."""
    runs: Sequence[Run] = [outage("429", 40_000), *(run_of(seed) for seed in seeds)]
    found = sum((run.server.faults for run in runs), Counter[str]())

    assert all("patient" not in objecting(run) for run in runs)
    assert all(found[f"429 {form}"] for form in ("with seconds", "with a date", "without Retry-After"))


# the log


def test_a_transaction_with_a_refused_batch_is_not_committed() -> None:
    run = play(mixed(4, leads=20), world=replace(World(), kafka_faults=Faults(60_000, refused=0.3)))

    assert_no_flaws(run)
    assert count_faults(run)["batch refused"] > 3
