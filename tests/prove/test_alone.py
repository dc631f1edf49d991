"""Budget alone keeps its promises in a share of the worlds, and whatever is taken away from it is missed there."""

import pickle
from collections.abc import Iterator
from typing import Final

import pytest

from . import alone_breakages
from .adversities import worlds
from .alone import Alone, main, minute_ms, one, prove
from .alone_breakages import Breakage

of_each_world: Final = 16
minutes: Final = 2
share: Final = range(of_each_world * len(worlds))
everything_that_goes_wrong: Final = {
    "answer lost",
    "fenced",
    "killed",
    "lost, but arrived",
    "network cut",
    "not sent in time",
    "paused",
    "reopened",
    "request lost",
    "sent by a fenced worker",
    "throttled",
    "turn not committed",
}


@pytest.fixture(scope="module")
def seen() -> Alone:
    return prove(share, minutes)


def calm() -> Alone:
    return prove(share[worlds.index("calm") :: len(worlds)][:4], minutes)


def kinds(world: str) -> Iterator[set[str]]:
    """Return the kinds of violations in one run after another of this world."""
    for seed in share[worlds.index(world) :: len(worlds)]:
        yield {violation.kind for violation in one(seed, minutes * minute_ms).violations}


@pytest.mark.slow
def test_no_promise_is_broken(seen: Alone) -> None:
    assert () == seen.violations


@pytest.mark.slow
def test_a_calm_location_spends_its_whole_budget_and_no_wait_is_long(seen: Alone) -> None:
    """DESIGN §6.6, with a round trip of 100 ms, up to half of the budget asked for by people, and endless other work."""
    assert seen.use >= 0.99
    assert 0 < seen.wait(0.99) <= 400


@pytest.mark.slow
def test_all_that_can_go_wrong_does(seen: Alone) -> None:
    assert everything_that_goes_wrong == set(seen.faults)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 7_000, 1_000))
def test_no_promise_is_broken_in_hours_of_saturation(first: int) -> None:
    """A share of `python -m tests.prove.alone`: 80 locations for 10 minutes each."""
    seen = prove(range(first, first + 80), 10)

    assert () == seen.violations
    assert everything_that_goes_wrong == set(seen.faults)
    assert seen.use >= 0.99
    assert 0 < seen.wait(0.99) <= 400


@pytest.mark.parametrize(
    ("breakage", "world", "violated"),
    [
        (alone_breakages.clocks_are_taken_for_one, "throttled", "granted"),
        (alone_breakages.inherited_slots_are_not_lengthened, "throttled", "granted"),
        (alone_breakages.the_ledger_is_not_handed_over, "crashes", "granted"),
        (alone_breakages.a_freeze_is_not_journalled, "throttled", "granted in spite of a 429"),
        (alone_breakages.a_freeze_is_ignored, "throttled", "granted in spite of a 429"),
        (alone_breakages.the_second_window_is_dropped, "cuts", "sliding log"),
        (alone_breakages.the_ceiling_is_ten_off, "cuts", "sliding log"),
        (alone_breakages.a_window_lasts_nine_seconds, "calm", "granted"),
        (alone_breakages.a_slot_is_freed_ten_seconds_after_its_grant, "cuts", "sliding log"),
        (alone_breakages.a_slot_without_an_answer_ends_as_if_it_had_one, "cuts", "sliding log"),
        (alone_breakages.a_slot_without_an_answer_ends_ten_seconds_after_its_deadline, "cuts", "sliding log"),
        (alone_breakages.a_call_is_sent_however_late, "cuts", "sliding log"),
        (alone_breakages.headers_are_ignored, "beside", "beside others"),
        (alone_breakages.calls_are_not_paced, "calm", "sliding counter"),
    ],
)
def test_a_breakage_is_caught(breakage: Breakage, world: str, violated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 16 seeds, which show nothing without it (`test_no_promise_is_broken`)."""
    breakage(monkeypatch)

    assert any(violated in shown for shown in kinds(world))


def test_pacing_without_its_remainder_wastes_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    alone_breakages.the_remainder_of_pacing_is_dropped(monkeypatch)

    assert calm().use < 0.99


def test_without_lanes_people_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    alone_breakages.lanes_are_ignored(monkeypatch)

    assert calm().wait(0.99) > 400


def test_a_violation_is_reported_with_the_shortest_prefix_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    alone_breakages.the_ledger_is_not_handed_over(monkeypatch)
    first = prove(range(93, 94), minutes).violations[0]

    assert first in one(first.seed, first.at).violations
    assert first not in one(first.seed, first.at - 1).violations
    assert str(first).startswith(f"seed 93 after {first.at} ms: granted: 91 calls (world crashes, ")


def test_the_same_seed_gives_the_same() -> None:
    seed = worlds.index("everything")

    assert one(seed, minute_ms) == one(seed, minute_ms)


def test_shares_of_a_proof_add_up_wherever_they_were_made() -> None:
    here, there = prove(range(8), 1), pickle.dumps(prove(range(8, 16), 1))

    assert prove(range(16), 1) == here + pickle.loads(there)  # noqa: S301  # what we pickled ourselves


def test_the_command_ends_with_1_where_a_promise_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--seeds", "1", "--first", "9", "--minutes", "1"]
    assert 0 == main(arguments)

    alone_breakages.a_window_lasts_nine_seconds(monkeypatch)
    assert 1 == main(arguments)
    assert "seed 9 after 9000 ms: granted: 91 calls (world calm, " in capsys.readouterr().out
