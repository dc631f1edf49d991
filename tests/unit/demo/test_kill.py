"""The kill that is meant, and what it excuses: nothing but itself."""

from collections.abc import Iterator

import pytest

from tests.lab.demo.kill import Kill
from tests.lab.demo.run import Run
from tests.lab.demo.seen import Answer
from tests.lab.demo.shown import latency
from tests.lab.demo.stage import Child, StageFailed
from tests.lab.demo.world import world


@pytest.fixture
def child() -> Iterator[Child]:
    """A program that ends when it is told to."""
    made = Child("test")
    made.run("-c", "import signal; signal.pause()")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("begin", "end", "disturbed"),
    [(1, 9, False), (9, 11, True), (12, 13, True), (9, 30, True), (19, 25, True), (21, 25, False)],
    ids=["before", "until into it", "within", "across", "from within it", "after"],
)
def test_a_kill_disturbs_what_waits_while_it_lasts(begin: float, end: float, disturbed: bool) -> None:
    assert disturbed == Kill("worker 2", at=10, back_at=20).disturbs(begin, end)


def test_a_kill_that_nobody_replaced_yet_disturbs_all_that_comes() -> None:
    assert Kill("worker 2", at=10).disturbs(1_000, 1_001)
    assert not Kill().disturbs(0, 1_000)


def test_a_kill_is_told_as_it_stands() -> None:
    assert [
        "none yet",
        "worker 2, 3 s ago; a new one takes its place",
        "worker 2, kill -9; 8.0 s later a new one had its partitions",
    ] == [kill.told(13) for kill in (Kill(), Kill("worker 2", 10), Kill("worker 2", 10, 18))]


def test_syncs_that_fell_into_the_kill_are_told_apart() -> None:
    """Their wait says how long a worker was dead, not how fast a Sync is."""
    run = Run(world(1_780_000_000_000, locations=1, leads=60, syncs=3), since=0, kill=Kill("worker 2", 10, 20))
    usual = [sync for sync in run.truth.syncs if not sync.waits]
    for sync, pressed, told in zip(usual, (5, 15), (5.25, 22), strict=True):
        run.pressed[sync.request_id] = pressed
        answer = Answer(sync.location, sync.lead, sync.request_id, 1, "updated", True, frozenset(), 0, None, told)
        run.seen.answers.append(answer)

    assert ([250.0], [7_000.0]) == (run.latencies_ms, run.disturbed_ms)
    assert " (p50 250 ms, p99 250 ms; 1 amid the kill: ≤ 7.0 s)" == latency(run.latencies_ms, run.disturbed_ms)


def test_a_child_that_was_killed_on_purpose_has_not_ended(child: Child) -> None:
    child.kill()

    assert not child.ended


def test_a_child_that_takes_a_killed_ones_place_is_watched_like_any_other(child: Child) -> None:
    child.kill()
    child.run("-c", "")
    while child.ask("look").startswith("running"):
        pass

    assert child.ended
    with pytest.raises(StageFailed, match=r"^test has ended"):
        child.kill()


def test_what_a_killed_child_wrote_is_kept_by_the_one_in_its_place(child: Child) -> None:
    child.kill()
    child.run("-c", "print('first', flush=True); import signal; signal.pause()")
    while not child.log:
        pass
    child.kill()
    child.run("-c", "print('second', flush=True); import signal; signal.pause()")
    while len(child.log) < 2:
        pass

    assert ["first", "second"] == child.log
    assert not child.ended
