"""Events that a worker publishes about a job, for the tests of everything that shows a job."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from processor.cli.job_progress import JobEvent

noon = 1_769_860_800_000  # 2026-01-31T12:00:00Z
full_data = {
    "plan": "scan",
    "leads_total": 1_800,
    "leads_done": 100,
    "updated": 95,
    "unchanged": 2,
    "created": 0,
    "not_found": 2,
    "ambiguous": 1,
    "failed": 0,
    "filled": {"contact_id": 95, "phone": 40, "city": 0},
    "messages_imported": 0,
    "calls_planned": 30,
    "calls_spent": 10,
    "calls_saved": 90,
    "started_at": "2026-01-31T12:00:00.000Z",
    "eta": "2026-01-31T12:00:25.000Z",
    "paused_until": None,
    "reason": None,
}
start_data = {"leads_total": 1_800, "plan": "scan", "calls_planned": 30, "eta": "2026-01-31T12:00:30.000Z"}
pause_data = {**full_data, "reason": "daily_budget", "paused_until": "2026-01-31T15:00:08.000Z"}


def job_event(kind: str, at_s: int = 0, data: object = None, **more: object) -> JobEvent:
    """Return an event of the Sync All of L1, with `data` in place of the full data."""
    given = full_data if data is None else data
    assert isinstance(given, dict)
    return JobEvent(f"sync.{kind}", {"request_id": "R", "location_id": "L1", **given, **more}, 0, noon + at_s * 1_000)


def partition_event(kind: str, partition: int, at_s: int = 0, **more: object) -> JobEvent:
    """Return an event of one of a backfill's two partitions."""
    own = {"request_id": "R", "location_id": None, "partition": partition, "partitions": 2, "plan": None}
    return JobEvent(f"sync.{kind}", {**full_data, **own, **more}, partition, noon + at_s * 1_000)


@contextmanager
def utc() -> Iterator[None]:
    """Make UTC the local time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
