"""All of it together, on several workers; and the ills that only some worlds have, one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from processor.ratelimit.budget import Rate

from .befell import faults
from .broker import Faults
from .everything import everything
from .imported import imports
from .oracles import broken
from .play import Run, World, play
from .shortest import keeps_every_promise
from .streams import streams
from .upstream import redelivered
from .weather import Away, Network, Outage, Weather
from .world import flood, mixed

once = cache(everything)
seeds = range(24)
a_day_is_spent = 147


@pytest.mark.parametrize("seed", range(6))
def test_all_that_can_go_wrong_together_breaks_no_promise(seed: int) -> None:
    keeps_every_promise(once(seed))


@pytest.mark.slow
def test_all_of_it_does_go_wrong() -> None:
    found = sum((faults(once(seed)) for seed in seeds), Counter[str]())
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
    runs = [once(seed) for seed in seeds]

    assert {len(run.scenario.owned) for run in runs} == {1, 2, 3}
    assert any(len({one.worker for one in run.server.sent}) > 1 and imports(run) for run in runs)
    assert {"sync.completed", "sync.cancelled"} <= {
        stream.end.kind for run in runs for stream in streams(run).values() if stream.end
    }


@pytest.mark.slow
def test_a_day_is_spent_where_several_workers_are() -> None:
    run = once(a_day_is_spent)

    keeps_every_promise(run)
    assert "daily_budget" in {event["data"]["reason"] for event in run.read("sync.progress")}


# upstream


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_late_or_twice_changes_nothing(seed: int) -> None:
    """Also in another order: the second delivery may come after what was said later."""
    run = play(redelivered(mixed(seed), late=0.3, twice=0.5))
    revisions = [one.value for one in sorted(run.scenario.publications, key=lambda one: one.at)]

    keeps_every_promise(run)
    assert faults(run)["delivered late"] > 3
    assert any(revisions.count(value) > 1 for value in revisions)


# HighLevel


def away(how: Away, lasts_ms: int = 20_000) -> Run:
    """A location is away at once, for a while."""
    weather = Weather(outages=(Outage(0, lasts_ms, None, how),))
    return play(flood(3, leads=8), world=World(Rate(22), 1, Network(), weather))


@pytest.mark.parametrize(
    ("how", "outcome"), [("hang", "Lost"), ("reset", "Lost"), ("429", "Throttled"), ("5xx", "Unavailable")]
)
def test_an_outage_of_any_kind_costs_time_and_nothing_else(how: Away, outcome: str) -> None:
    run = away(how)

    keeps_every_promise(run)
    assert outcome in {one.outcome for one in run.server.sent}


def test_who_hangs_is_given_up_by_the_clients_time_out_and_who_resets_says_so_at_once() -> None:
    hung, reset = (
        [one for one in away(how).server.sent if one.outcome == "Lost" and one.until] for how in ("hang", "reset")
    )

    assert {(one.until or 0) - one.granted for one in hung} <= {*range(9_900, 10_100)}
    assert max((one.until or 0) - one.at for one in reset) < 200
    assert all(one.arrived for one in [*hung, *reset])


@pytest.mark.slow
def test_a_429_says_how_long_in_seconds_as_a_date_or_not_at_all() -> None:
    """The real parser reads the date against the server's own clock."""
    runs: Sequence[Run] = [away("429", 40_000), *(once(seed) for seed in seeds)]
    found = sum((run.server.faults for run in runs), Counter[str]())

    assert all("patient" not in broken(run) for run in runs)
    assert all(found[f"429 {form}"] for form in ("with seconds", "with a date", "without Retry-After"))


# the log


def test_a_transaction_of_which_a_batch_is_refused_is_not_committed() -> None:
    run = play(mixed(4, leads=20), world=replace(World(), faults=Faults(60_000, refused=0.3)))

    keeps_every_promise(run)
    assert faults(run)["batch refused"] > 3
