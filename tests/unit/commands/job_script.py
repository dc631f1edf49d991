"""What a worker says of a job, for the tests of what is shown of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from processor.commands.progress import Said

noon = 1_769_860_800_000  # 2026-01-31T12:00:00Z
counts = {"updated": 95, "unchanged": 2, "created": 0, "not_found": 2, "ambiguous": 1, "failed": 0}
whole = {
    "plan": "scan",
    "leads_total": 1_800,
    "leads_done": 100,
    **counts,
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
beginning = {"leads_total": 1_800, "plan": "scan", "calls_planned": 30, "eta": "2026-01-31T12:00:30.000Z"}
pausing = {**whole, "reason": "daily_budget", "paused_until": "2026-01-31T15:00:08.000Z"}


def said(kind: str, at_s: int = 0, data: object = None, **more: object) -> Said:
    """Of the Sync All of L1; `data` instead of the whole."""
    given = whole if data is None else data
    assert isinstance(given, dict)
    return Said(f"sync.{kind}", {"request_id": "R", "location_id": "L1", **given, **more}, 0, noon + at_s * 1_000)


def part(kind: str, at: int, at_s: int = 0, **more: object) -> Said:
    """Of one of a backfill's two partitions."""
    here = {"request_id": "R", "location_id": None, "partition": at, "partitions": 2, "plan": None}
    return Said(f"sync.{kind}", {**whole, **here, **more}, at, noon + at_s * 1_000)


@contextmanager
def utc() -> Iterator[None]:
    """Whatever clock is shown is that of UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
