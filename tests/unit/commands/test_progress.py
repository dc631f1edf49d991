"""How a job stands by what was said of it: a table of events in, phase, sums and silence out."""

from typing import Any

import pytest

from processor.commands.progress import Progress, Said, outcomes

noon = 1_769_860_800_000  # 2026-01-31T12:00:00Z


def said(kind: str, at_s: int = 0, **data: Any) -> Said:
    return Said(f"sync.{kind}", data, 7, noon + at_s * 1_000)


def part(kind: str, partition: int, at_s: int = 0, **data: Any) -> Said:
    """What one of three partitions says of a backfill."""
    return Said(f"sync.{kind}", {"partition": partition, "partitions": 3, **data}, partition, noon + at_s * 1_000)


def sync_all(*events: Said) -> Progress:
    return heard(Progress("R", "L1"), *events)


def backfill(*events: Said) -> Progress:
    return heard(Progress("R", None, partitions=3), *events)


def heard(progress: Progress, *events: Said) -> Progress:
    for one in events:
        progress.hear(one)
    return progress


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([], "opening"),
        ([said("paused", reason="unauthorized")], "paused"),
        ([said("started")], "running"),
        ([said("progressed")], "running"),
        ([said("started"), said("paused", reason="daily_budget")], "paused"),
        ([said("started"), said("paused", reason="throttled"), said("progressed", reason=None)], "running"),
        ([said("started"), said("progressed", reason="throttled")], "paused"),
        ([said("started"), said("completed")], "completed"),
        ([said("started"), said("failed", reason="refused")], "failed"),
        ([said("paused", reason="unauthorized"), said("cancelled")], "cancelled"),
    ],
)
def test_the_phase_of_a_sync_all_is_what_was_said_last(events: list[Said], phase: str) -> None:
    assert phase == sync_all(*events).phase


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([part("started", 0)], "running"),
        ([part("paused", 0), part("paused", 1)], "paused"),
        ([part("paused", 0), part("progressed", 1)], "running"),
        ([part("completed", 0), part("paused", 1), part("paused", 2)], "paused"),
        ([part("completed", 0), part("completed", 1)], "running"),
        ([part("completed", 0), part("completed", 1), part("started", 2)], "running"),
        ([part("completed", at) for at in range(3)], "completed"),
        ([part("completed", 0), part("cancelled", 1), part("completed", 2)], "cancelled"),
        ([part("failed", 0), part("cancelled", 1), part("completed", 2)], "failed"),
    ],
)
def test_a_backfill_is_over_when_each_partition_is(events: list[Said], phase: str) -> None:
    """And then as bad as the worst of them."""
    assert phase == backfill(*events).phase


def test_an_end_that_names_no_partitions_is_one_of_all() -> None:
    """So is a backfill answered whose request had to be buried: no partition ever begins."""
    assert "failed" == backfill(said("failed", reason="internal_error")).phase


def test_partitions_are_as_many_as_the_workers_say() -> None:
    progress = Progress("R", None, partitions=12)

    assert "completed" == heard(progress, *(part("completed", at) for at in range(3))).phase


def test_a_sync_all_stands_as_its_worker_said() -> None:
    data: dict[str, Any] = {
        "request_id": "R",
        "location_id": "L1",
        "partition": None,
        "partitions": None,
        "plan": "scan",
        "leads_total": 10,
        "leads_done": 6,
        **dict.fromkeys(outcomes, 1),
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

    assert data == sync_all(said("started", plan="probe"), said("progressed", **data)).stand()


def test_a_backfill_stands_as_the_sum_of_its_partitions() -> None:
    """The first start, the last end of those that go on; why one pauses comes before why another failed."""
    progress = backfill(
        part("progressed", 0, leads_total=5, leads_done=1, filled={"phone": 1, "city": 1}, eta="2026-01-31T12:01:00Z"),
        part("completed", 1, leads_total=7, leads_done=7, filled={"phone": 2}, eta="2026-01-31T12:09:00Z"),
        part("paused", 2, leads_total=1, started_at="2026-01-31T12:00:00Z", reason="throttled"),
        part("failed", 0, leads_total=5, leads_done=2, filled={"city": 2}, calls_spent=1, reason="refused"),
    )
    known = {name: value for name, value in progress.stand().items() if value is not None}

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
    assert (2, 3, [2]) == (progress.done_partitions, progress.heard_partitions, [at for at, _ in progress.paused()])


def test_a_backfill_that_is_over_says_why_the_worst_partition_ended() -> None:
    progress = backfill(
        part("completed", 0), part("cancelled", 1, reason="dry_run"), part("failed", 2, reason="refused")
    )

    assert "refused" == progress.stand()["reason"]


def test_what_no_contract_promises_is_not_known() -> None:
    """Another version's worker may leave anything out, or say it in another way."""
    progress = sync_all(said("progressed", leads_total="many", leads_done=-1, filled=["phone"], eta=12, updated=True))

    assert {"request_id", "location_id"} == {name for name, value in progress.stand().items() if value is not None}


def test_the_pace_is_that_of_the_last_ten_seconds() -> None:
    progress = sync_all(said("started", leads_done=0))
    assert progress.per_second() is None

    heard(progress, *(said("progressed", at_s=second, leads_done=second * 100) for second in range(1, 21)))
    assert 100 == progress.per_second()

    heard(progress, *(said("progressed", at_s=second, leads_done=2_000) for second in range(21, 31)))
    assert 0 == progress.per_second()


def test_the_pace_of_a_backfill_is_that_of_all() -> None:
    progress = backfill(part("started", 0, leads_done=0), part("started", 1, at_s=1, leads_done=0))
    heard(progress, part("progressed", 0, at_s=2, leads_done=20), part("progressed", 1, at_s=2, leads_done=30))

    assert 25 == progress.per_second()


def test_a_job_took_from_its_start_to_its_last_word() -> None:
    start = "2026-01-31T12:00:00.000Z"

    assert 25_000 == sync_all(said("completed", at_s=25, started_at=start)).took_ms()
    assert sync_all(said("completed", at_s=25)).took_ms() is None


def test_the_plan_of_a_dry_run_is_what_its_starts_said() -> None:
    """How long it takes counts from when that was said: the clocks of others don't matter."""
    progress = backfill(
        part("started", 0, at_s=1, leads_total=10, calls_planned=2, eta="2026-01-31T12:00:06Z"),
        part("cancelled", 0, at_s=1, leads_total=0, reason="dry_run"),
        part("started", 1, at_s=2, leads_total=20, calls_planned=3, eta="2026-01-31T12:00:12Z"),
    )
    unplanned = progress.planned
    heard(progress, part("cancelled", 2, leads_total=1, calls_planned=1, reason="dry_run"))
    plan = progress.plan()

    assert (False, True) == (unplanned, progress.planned)
    assert (31, 6, 10_000) == (plan["leads_total"], plan["calls_planned"], plan["takes_ms"])
    assert progress.refusal() is None


@pytest.mark.parametrize(
    ("end", "refusal"),
    [
        (said("cancelled", reason="dry_run"), None),
        (said("completed"), None),
        (said("cancelled"), "cancelled"),
        (said("failed", reason="refused"), "failed: refused"),
    ],
)
def test_a_dry_run_without_a_plan_says_why(end: Said, refusal: str | None) -> None:
    assert refusal == sync_all(end).refusal()
    assert sync_all(said("started"), end).refusal() is None


@pytest.mark.parametrize(
    ("events", "seconds", "silent_s"),
    [
        ([], 29, None),
        ([], 30, 30),
        ([said("started")], 31, 31),
        ([said("paused", paused_until="2026-01-31T12:01:00Z")], 89, None),
        ([said("paused", paused_until="2026-01-31T12:01:00Z")], 95, 35),
        ([said("paused", paused_until=None)], 10_000, None),
        ([said("completed")], 31, None),
    ],
)
def test_silence_is_a_bad_sign_unless_there_is_nothing_to_say(
    events: list[Said], seconds: int, silent_s: int | None
) -> None:
    progress = sync_all(*events)
    progress.heard_ms = noon
    silent = progress.silent_ms(noon + seconds * 1_000)

    assert silent_s == (silent and silent // 1_000)
