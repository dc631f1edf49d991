"""The progress of a job: a table of events in; phase, totals and silence out."""

from typing import Any

import pytest

from processor.cli.job_progress import JobEvent, JobProgress, lead_outcomes
from tests.unit.cli.job_script import noon


def job_event(kind: str, at_s: int = 0, **data: Any) -> JobEvent:
    return JobEvent(f"sync.{kind}", data, 7, noon + at_s * 1_000)


def partition_event(kind: str, partition: int, at_s: int = 0, **data: Any) -> JobEvent:
    """Return an event of one of a backfill's three partitions."""
    return JobEvent(f"sync.{kind}", {"partition": partition, "partitions": 3, **data}, partition, noon + at_s * 1_000)


def sync_all(*events: JobEvent) -> JobProgress:
    return applied(JobProgress("R", "L1"), *events)


def backfill(*events: JobEvent) -> JobProgress:
    return applied(JobProgress("R", None, partitions=3), *events)


def applied(progress: JobProgress, *events: JobEvent) -> JobProgress:
    for event in events:
        progress.apply(event)
    return progress


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([], "opening"),
        ([job_event("paused", reason="unauthorized")], "paused"),
        ([job_event("started")], "running"),
        ([job_event("progressed")], "running"),
        ([job_event("started"), job_event("paused", reason="daily_budget")], "paused"),
        (
            [job_event("started"), job_event("paused", reason="throttled"), job_event("progressed", reason=None)],
            "running",
        ),
        ([job_event("started"), job_event("progressed", reason="throttled")], "paused"),
        ([job_event("started"), job_event("completed")], "completed"),
        ([job_event("started"), job_event("failed", reason="refused")], "failed"),
        ([job_event("paused", reason="unauthorized"), job_event("cancelled")], "cancelled"),
    ],
)
def test_the_phase_of_a_sync_all_is_that_of_its_last_event(events: list[JobEvent], phase: str) -> None:
    assert phase == sync_all(*events).phase


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([partition_event("started", 0)], "running"),
        ([partition_event("paused", 0), partition_event("paused", 1)], "paused"),
        ([partition_event("paused", 0), partition_event("progressed", 1)], "running"),
        ([partition_event("completed", 0), partition_event("paused", 1), partition_event("paused", 2)], "paused"),
        ([partition_event("completed", 0), partition_event("completed", 1)], "running"),
        ([partition_event("completed", 0), partition_event("completed", 1), partition_event("started", 2)], "running"),
        ([partition_event("completed", at) for at in range(3)], "completed"),
        (
            [partition_event("completed", 0), partition_event("cancelled", 1), partition_event("completed", 2)],
            "cancelled",
        ),
        ([partition_event("failed", 0), partition_event("cancelled", 1), partition_event("completed", 2)], "failed"),
    ],
)
def test_a_backfill_has_ended_when_each_partition_has(events: list[JobEvent], phase: str) -> None:
    """Its phase is that of the worst end."""
    assert phase == backfill(*events).phase


def test_an_end_without_partitions_ends_all() -> None:
    """A dead-lettered backfill request is answered so: no partition ever starts."""
    assert "failed" == backfill(job_event("failed", reason="internal_error")).phase


def test_workers_report_the_number_of_partitions() -> None:
    progress = JobProgress("R", None, partitions=12)

    assert "completed" == applied(progress, *(partition_event("completed", at) for at in range(3))).phase


def test_the_totals_of_a_sync_all_are_those_of_its_last_event() -> None:
    data: dict[str, Any] = {
        "request_id": "R",
        "location_id": "L1",
        "partition": None,
        "partitions": None,
        "plan": "scan",
        "leads_total": 10,
        "leads_done": 6,
        **dict.fromkeys(lead_outcomes, 1),
        "messages_imported": 0,
        "calls_planned": 3,
        "calls_spent": 2,
        "calls_saved": 4,
        "filled": {"phone": 1},
        "started_at": "2026-01-31T12:00:00.000Z",
        "eta": "2026-01-31T12:00:10.000Z",
        "paused_until": None,
        "reason": None,
    }

    assert data == sync_all(job_event("started", plan="probe"), job_event("progressed", **data)).totals()


def test_the_totals_of_a_backfill_are_sums_over_its_partitions() -> None:
    """The first start and the last end of running partitions count. A reason to pause comes before that of a failure."""
    progress = backfill(
        partition_event(
            "progressed", 0, leads_total=5, leads_done=1, filled={"phone": 1, "city": 1}, eta="2026-01-31T12:01:00Z"
        ),
        partition_event("completed", 1, leads_total=7, leads_done=7, filled={"phone": 2}, eta="2026-01-31T12:09:00Z"),
        partition_event("paused", 2, leads_total=1, started_at="2026-01-31T12:00:00Z", reason="throttled"),
        partition_event("failed", 0, leads_total=5, leads_done=2, filled={"city": 2}, calls_spent=1, reason="refused"),
    )
    known = {name: value for name, value in progress.totals().items() if value is not None}

    assert {
        "request_id": "R",
        "partitions": 3,
        "leads_total": 13,
        "leads_done": 9,
        "filled": {"city": 2, "phone": 2},
        "calls_spent": 1,
        "started_at": "2026-01-31T12:00:00Z",
        "reason": "throttled",
    } == known
    assert (2, 3, [2]) == (progress.ended_partitions, progress.reported_partitions, [at for at, _ in progress.paused()])


def test_the_reason_of_an_ended_backfill_is_that_of_its_worst_partition() -> None:
    progress = backfill(
        partition_event("completed", 0),
        partition_event("cancelled", 1, reason="dry_run"),
        partition_event("failed", 2, reason="refused"),
    )

    assert "refused" == progress.totals()["reason"]


def test_values_outside_the_contract_are_unknown() -> None:
    """A worker of another version may omit any field, or change its type."""
    progress = sync_all(
        job_event("progressed", leads_total="many", leads_done=-1, filled=["phone"], eta=12, updated=True)
    )

    assert {"request_id", "location_id"} == {name for name, value in progress.totals().items() if value is not None}


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    progress = sync_all(job_event("started", leads_done=0))
    assert progress.leads_per_second() is None

    applied(progress, *(job_event("progressed", at_s=second, leads_done=second * 100) for second in range(1, 21)))
    assert 100 == progress.leads_per_second()

    applied(progress, *(job_event("progressed", at_s=second, leads_done=2_000) for second in range(21, 31)))
    assert 0 == progress.leads_per_second()


def test_the_rate_of_a_backfill_is_that_of_all_partitions() -> None:
    progress = backfill(
        partition_event("started", 0, leads_done=0), partition_event("started", 1, at_s=1, leads_done=0)
    )
    applied(
        progress,
        partition_event("progressed", 0, at_s=2, leads_done=20),
        partition_event("progressed", 1, at_s=2, leads_done=30),
    )

    assert 25 == progress.leads_per_second()


def test_the_duration_is_from_the_start_to_the_last_event() -> None:
    start = "2026-01-31T12:00:00.000Z"

    assert 25_000 == sync_all(job_event("completed", at_s=25, started_at=start)).duration_ms()
    assert sync_all(job_event("completed", at_s=25)).duration_ms() is None


def test_the_plan_of_a_dry_run_is_the_sum_of_its_starts() -> None:
    """The time it takes counts from the event's own time: our clock doesn't matter."""
    progress = backfill(
        partition_event("started", 0, at_s=1, leads_total=10, calls_planned=2, eta="2026-01-31T12:00:06Z"),
        partition_event("cancelled", 0, at_s=1, leads_total=0, reason="dry_run"),
        partition_event("started", 1, at_s=2, leads_total=20, calls_planned=3, eta="2026-01-31T12:00:12Z"),
    )
    unplanned = progress.planned
    applied(progress, partition_event("cancelled", 2, leads_total=1, calls_planned=1, reason="dry_run"))
    plan = progress.plan()

    assert (False, True) == (unplanned, progress.planned)
    assert (31, 6, 10_000) == (plan["leads_total"], plan["calls_planned"], plan["takes_ms"])
    assert progress.missing_plan() is None


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (job_event("cancelled", reason="dry_run"), None),
        (job_event("completed"), None),
        (job_event("cancelled"), "cancelled"),
        (job_event("failed", reason="refused"), "failed: refused"),
    ],
)
def test_a_dry_run_without_a_plan_has_a_reason(end: JobEvent, problem: str | None) -> None:
    assert problem == sync_all(end).missing_plan()
    assert sync_all(job_event("started"), end).missing_plan() is None


@pytest.mark.parametrize(
    ("events", "seconds", "silent_s"),
    [
        ([], 29, None),
        ([], 30, 30),
        ([job_event("started")], 31, 31),
        ([job_event("paused", paused_until="2026-01-31T12:01:00Z")], 89, None),
        ([job_event("paused", paused_until="2026-01-31T12:01:00Z")], 95, 35),
        ([job_event("paused", paused_until=None)], 10_000, None),
        ([job_event("completed")], 31, None),
    ],
)
def test_silence_is_a_bad_sign_unless_the_job_is_paused_or_has_ended(
    events: list[JobEvent], seconds: int, silent_s: int | None
) -> None:
    progress = sync_all(*events)
    progress.last_sign_ms = noon
    silent = progress.silent_ms(noon + seconds * 1_000)

    assert silent_s == (silent and silent // 1_000)
