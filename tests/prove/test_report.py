"""The page of a proof shows broken promises, the commands that show them again, and missed bars."""

from collections import Counter

from tests.integration.chaos.play import ChaosOutcome

from .alone import Alone, Violation
from .rebalances import Case, Row
from .report import Proof, page
from .schedules import Outcome


def proof() -> Proof:
    """Return a complete proof without a flaw."""
    return Proof(
        "make prove",
        "2026-01-01",
        60.0,
        alone=Alone(3_600_000, 32_400, worst=Counter({"granted": 90}), calm=99, room=1_000_000, waits={200: 1}),
        schedules=[Outcome(7, "worker_group", "", {"death": 2}, 50, 1_000, 0.1)],
        rebalances=[Row(Case("leaves", 120), 480, 4, 4, 0.99, 80, 700, 92, 4_000)],
        chaos=[ChaosOutcome(100, {"cut": 1}, 10, 10, 5, 20, 92, 0, (), (), (), 30.0)],
    )


def test_a_proof_without_violations_holds() -> None:
    text = page(proof())

    assert proof().holds
    assert "took 1 min: 0 violations." in text
    assert "| fault schedules | 1 |  |" in text


def test_an_interrupted_one_does_not() -> None:
    begun = proof()
    begun.interrupted = True

    assert not begun.holds
    assert "interrupted after 1 min" in page(begun)


def test_each_violation_is_shown_with_the_command_that_shows_it_again() -> None:
    bad = proof()
    bad.alone += Alone(violations=(Violation(12, 130_000, "gcra", "101 calls", "world cuts"),))
    bad.schedules.append(Outcome(8, "jobs", "seed 8: once: twice", {}, 1, 1, 0.1))
    bad.chaos.append(ChaosOutcome(101, {}, 1, 1, 1, 1, 92, 0, ("lead-1 is lost",), (), (), 30.0))
    text = page(bad)

    assert not bad.holds
    assert "3 violations" in text
    assert (
        "python -m tests.prove.alone --first 12 --seeds 1 --minutes 3\nseed 12 after 130000 ms: gcra: 101 calls" in text
    )
    assert "python -m tests.simulation --world jobs --seed 8\nseed 8: once: twice" in text
    assert "python -m tests.integration.chaos --seed 101\nlead-1 is lost" in text


def test_a_bar_that_is_missed_is_shown() -> None:
    slow = proof()
    slow.alone += Alone(calm=0, room=100_000, waits={900: 1})
    slow.rebalances.append(Row(Case("leaves", 120, static=True), 480, 0, 4, 0.97, 80, 700, 92, 4_000))

    assert not slow.holds
    assert [
        "use 90.00%, not 99%",
        "interactive wait p99 900 ms, not 400",
        "static, one leaves every 120 s: use 97.00%, not 98%",
    ] == list(slow.missed())


def test_a_part_that_was_not_run_is_left_out() -> None:
    assert "##" not in page(Proof("make prove", "2026-01-01"))
