"""Phrases about a job that no command's test shows."""

import pytest

from processor.cli.job_progress import JobProgress
from processor.cli.job_text import leads_done, opening_line


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        ({}, "0 leads"),
        ({"leads_total": 0, "leads_done": 0}, "0 leads"),
        ({"leads_done": 1_200}, "1,200 leads"),
        ({"leads_total": 3, "leads_done": 2}, "2 of 3 leads (66 %)"),
        ({"leads_total": 2_000, "leads_done": 2_000}, "2,000 of 2,000 leads (100 %)"),
    ],
)
def test_leads_done_are_shown_as_far_as_they_are_known(totals: dict[str, int], expected: str) -> None:
    """A backfill begins before its locations have opened their leads."""
    assert expected == leads_done(totals)


def test_opening_leads_shows_the_locations_queue() -> None:
    progress = JobProgress("R", "L1")
    progress.queued = 40_000

    assert "opening its leads…, 40,000 queued" == opening_line(progress)
