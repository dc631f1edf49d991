"""The board of a job on a terminal of 80 columns."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console, RenderableType

from processor.cli.shown_jobs import board, how_far
from processor.commands.progress import Progress
from tests.unit.commands.job_script import beginning, noon, part, pausing, said, utc


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with utc():
        yield


def test_a_board_shows_how_a_job_stands() -> None:
    events = said("started", 1, beginning), said("progressed", 6), said("paused", 7, pausing)
    progress = Progress("R", "L1")
    for one in events:
        progress.hear(one)
    progress.heard_ms = noon

    assert [
        "Sync All of L1",
        "━━━                                                     100 of 1,800 leads (5 %)",
        "  request   R",
        "  plan      scan: page through the location's contacts",
        "  outcomes  updated 95 · unchanged 2 · not_found 2 · ambiguous 1",
        "  filled    contact_id 95 · phone 40",
        "  calls     10 spent of about 30 planned, 90 saved",
        "  paused    daily_budget until 15:00:08 (in 3 h): the day's share of calls is",
        "            spent",
        "Ctrl-C leaves the job running.",
    ] == drawn(board(progress, False, 7, noon + 7_000))


def test_a_board_shows_what_is_waited_for() -> None:
    progress = Progress("R", "L1")
    progress.heard_ms, progress.queued = noon, 40_000

    assert [
        "Sync All of L1",
        "  request  R",
        "  now      opening its leads…, 40,000 queued 31 s",
        "  worker   nothing heard for 31 s: no worker seems to run; still waiting",
        "Ctrl-C leaves the job running.",
    ] == drawn(board(progress, False, 31, noon + 31_000))


def test_a_board_names_a_few_of_many_paused_partitions() -> None:
    progress = Progress("R", None)
    for at in range(6):
        progress.hear(part("paused", at, reason="throttled", partitions=12))

    told = drawn(board(progress, False, 1, noon))
    assert [
        "  partitions  0 of 12 done, 6 not heard of",
        "  paused      partition 0: throttled",
        "              partition 1: throttled",
        "              partition 2: throttled",
        "              partition 3: throttled",
        "              and 2 more partitions",
    ] == told[told.index("  partitions  0 of 12 done, 6 not heard of") : -1]


@pytest.mark.parametrize(
    ("stand", "told"),
    [
        ({}, "0 leads"),
        ({"leads_total": 0, "leads_done": 0}, "0 leads"),
        ({"leads_done": 1_200}, "1,200 leads"),
        ({"leads_total": 3, "leads_done": 2}, "2 of 3 leads (66 %)"),
        ({"leads_total": 2_000, "leads_done": 2_000}, "2,000 of 2,000 leads (100 %)"),
    ],
)
def test_how_far_a_job_is_is_told_as_far_as_it_is_known(stand: dict[str, int], told: str) -> None:
    """A backfill begins before its locations have opened their leads."""
    assert told == how_far(stand)


def drawn(what: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]
