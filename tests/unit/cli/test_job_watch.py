"""Watching and cancelling a job, on Kafka in memory; `tests/integration` runs the commands on a real one."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

import pytest

from processor.cli import job_watch, operations
from processor.cli.job_progress import JobEvent, JobProgress
from processor.cli.job_watch import OnEvent, cancel_and_wait, watch_job
from processor.cli.operations import JobRequest, publish_request, requested_location
from processor.events.cloudevents import Event, Record, decode, encode
from processor.events.contract import EVENTS, SyncBackfillRequested, SyncCancelRequested, SyncLocationRequested
from processor.kafka import KafkaRefused, KafkaUnreachable
from processor.settings import read_settings
from processor.topics import home
from tests.unit.cli.log_in_memory import KafkaInMemory, TailInMemory

settings = read_settings({"KAFKA_TOPIC_PREFIX": "staging."})
at_most_s = 10  # a watch that doesn't end fails rather than hangs
sync_all = SyncLocationRequested(request_id="R", location_id="L1")
backfill = SyncBackfillRequested(request_id="R")
dry_run = SyncLocationRequested(request_id="R", location_id="L1", dry_run=True)
cancel = SyncCancelRequested(request_id="R", location_id="L1")


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> KafkaInMemory:
    """Return Kafka in memory. A tick passes at once whenever there is no event."""
    log = KafkaInMemory()
    monkeypatch.setattr(operations, "describe_topics", log.describe_topics)
    monkeypatch.setattr(job_watch, "Tail", log.tail)
    monkeypatch.setattr(operations, "publish_record", log.publish_record)
    monkeypatch.setattr(job_watch, "tick_s", 0)
    return log


def progress_record(kind: str, partition: int | None = None, **data: object) -> Record:
    """Return an event of job R: of the Sync All of L1, or of one of a backfill's two partitions."""
    ids: dict[str, object] = {"location_id": "L1"}
    if partition is not None:
        ids = {"location_id": None, "partition": partition, "partitions": 2}
    value = encode(
        f"sync.{kind}",
        {"request_id": "R", **ids, **data},
        id="1",
        source="hydrant/L1",
        subject="R",
        location="L1",
        time_ms=0,
    )
    key, at = ("L1", home("L1", 12)) if partition is None else ("R", partition)
    return Record("sync.progress", at, 0, 0, key.encode(), value)


def write(kafka: KafkaInMemory, *records: Record) -> None:
    for record in records:
        kafka.write(record.topic, (record.key or b"").decode(), record.value, record.partition)


def writes(*records: Record) -> Callable[[Record], Sequence[Record]]:
    return lambda _: records


def requests(kafka: KafkaInMemory) -> list[tuple[bytes | None, object]]:
    """Return key and data of each published request, as a worker decodes it."""
    decoded = [(record.key, decode(record)) for record in kafka.records if record.topic == "sync.requests"]
    return [(key, event.data) for key, event in decoded if isinstance(event, Event)]


async def watched(job: JobRequest, *, resume: bool = False) -> tuple[JobProgress, list[str]]:
    """Return the progress at the end, and the events in order."""
    progress, events = JobProgress(job.request_id, requested_location(job), live=not resume), list[str]()

    def on_event(event: JobEvent | None) -> None:
        if event is not None:
            events.append(f"{event.kind.removeprefix('sync.')} {event.partition}")

    await watched_by(on_event, job, progress, resume=resume)
    return progress, events


async def watched_by(on_event: OnEvent, job: JobRequest, progress: JobProgress, *, resume: bool = False) -> None:
    async with asyncio.timeout(at_most_s):
        await watch_job(settings, job, progress, on_event, resume=resume)


@pytest.mark.parametrize(
    ("job", "key", "kind", "data"),
    [
        (
            SyncLocationRequested(request_id="R", location_id="L1", include_messages=False),
            b"L1",
            "sync.location.requested",
            {"location_id": "L1", "include_messages": False},
        ),
        (dry_run, b"L1", "sync.location.requested", {"location_id": "L1", "dry_run": True}),
        (backfill, b"R", "sync.backfill.requested", {}),
    ],
)
async def test_a_request_is_one_that_a_worker_decodes(
    kafka: KafkaInMemory, job: JobRequest, key: bytes, kind: str, data: dict[str, object]
) -> None:
    await publish_request(settings, job)

    assert [(key, EVENTS[kind].model_validate({"request_id": "R", **data}))] == requests(kafka)


@pytest.mark.parametrize(("location", "key"), [("L1", b"L1"), (None, b"R")])
async def test_a_cancel_goes_where_the_job_went(kafka: KafkaInMemory, location: str | None, key: bytes) -> None:
    request = SyncCancelRequested(request_id="R", location_id=location)
    await publish_request(settings, request)

    assert [(key, request)] == requests(kafka)


async def test_a_job_is_watched_until_it_has_ended(kafka: KafkaInMemory) -> None:
    """Events of other jobs and other records are ignored."""
    at = home("L1", 12)
    other = progress_record("completed", leads_done=9)
    write(kafka, progress_record("completed", leads_done=8))  # from before the request
    kafka.worker = writes(
        Record("sync.progress", at, 0, 0, b"L1", None),
        Record("sync.progress", at, 0, 0, b"L1", b'no JSON, though it holds "R"'),
        Record("sync.progress", at, 0, 0, b"L1", (other.value or b"").replace(b'"R"', b'"other, not R"')),
        Record("sync.progress", at, 0, 0, b"L1", (other.value or b"").replace(b'"L1"', b'"L2"')),
        Record("sync.progress", at, 0, 0, b"L1", (other.value or b"").replace(b"sync.completed", b"sync.answered")),
        progress_record("started"),
        progress_record("progressed", leads_done=1),
        progress_record("completed", leads_done=2),
        progress_record("progressed", leads_done=3),
    )
    progress, events = await watched(sync_all)

    assert [f"started {at}", f"progressed {at}", f"completed {at}"] == events
    assert ("completed", 2) == (progress.phase, progress.totals()["leads_done"])


async def test_a_backfill_is_watched_until_each_partition_has_ended(kafka: KafkaInMemory) -> None:
    kafka.worker = writes(
        progress_record("started", 1),
        progress_record("completed", 1, leads_done=1),
        progress_record("started", 0),
        progress_record("completed", 0, leads_done=2),
    )
    progress, events = await watched(backfill)

    assert ["started 1", "completed 1", "started 0", "completed 0"] == events
    assert ("completed", 3, 2) == (progress.phase, progress.totals()["leads_done"], progress.partitions)


async def test_a_resumed_watch_requests_the_job_and_continues_from_the_past_events(kafka: KafkaInMemory) -> None:
    at = home("L1", 12)
    write(kafka, progress_record("started"), progress_record("progressed", leads_done=1))
    kafka.worker = writes(progress_record("completed", leads_done=2))
    progress, events = await watched(sync_all, resume=True)

    assert [f"started {at}", f"progressed {at}", f"completed {at}"] == events
    assert (True, 1) == (progress.live, len(requests(kafka)))


async def test_a_job_that_has_ended_is_not_requested_anew(kafka: KafkaInMemory) -> None:
    """After a day its request id would be that of a new job."""
    write(kafka, progress_record("started"), progress_record("failed", reason="refused"))
    progress, _ = await watched(sync_all, resume=True)

    assert ("failed", []) == (progress.phase, requests(kafka))


async def test_an_event_that_arrives_while_the_past_is_read_is_applied_once(
    kafka: KafkaInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of the past and that of the news overlap."""
    write(kafka, progress_record("started", 0))
    news: list[TailInMemory] = []

    def tail(*args: object, **kwargs: object) -> TailInMemory:
        made = kafka.tail(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they come
        if news:
            write(kafka, progress_record("progressed", 0), progress_record("started", 1))
        news.append(made)
        return made

    monkeypatch.setattr(job_watch, "Tail", tail)
    kafka.worker = writes(progress_record("completed", 0), progress_record("completed", 1))
    _, events = await watched(backfill, resume=True)

    assert ["started 0", "progressed 0", "started 1", "completed 0", "completed 1"] == events


async def test_a_dry_run_ends_with_its_plan(kafka: KafkaInMemory) -> None:
    kafka.worker = writes(progress_record("started", plan="scan", calls_planned=3))
    progress, _ = await watched(dry_run)

    assert ("scan", 3) == (progress.plan()["plan"], progress.plan()["calls_planned"])


async def test_a_dry_run_of_all_locations_waits_for_each_partition(kafka: KafkaInMemory) -> None:
    kafka.worker = writes(
        *(progress_record(kind, at, leads_total=5 + at, **reason) for at in (0, 1) for kind, reason in dry_run_events),
        progress_record("started", 0),
    )
    progress, _ = await watched(SyncBackfillRequested(request_id="R", dry_run=True))

    assert 11 == progress.plan()["leads_total"]


dry_run_events: Sequence[tuple[str, dict[str, object]]] = (("started", {}), ("cancelled", {"reason": "dry_run"}))


async def test_an_id_that_json_escapes_is_recognised(kafka: KafkaInMemory) -> None:
    end = (progress_record("completed").value or b"").replace(b'"R"', b'"a\\"b"')
    kafka.worker = writes(Record("sync.progress", home("L1", 12), 0, 0, b"L1", end))
    progress, _ = await watched(SyncLocationRequested(request_id='a"b', location_id="L1"))

    assert progress.ended


async def test_a_status_of_the_location_is_a_sign_of_life_and_holds_its_queue(
    kafka: KafkaInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a job opens its leads, nothing else comes."""
    status = b'{"type": "location.status", "data": {"queued": {"job": 40000, "change": 2, "interactive": 0}}}'
    kafka.worker = writes(Record("location.status", home("L1", 12), 0, 0, b"L1", status))
    clock = count(1_000)
    monkeypatch.setattr(job_watch, "now_ms", lambda: next(clock))
    progress, states = JobProgress("R", "L1"), list[tuple[int | None, bool]]()

    def on_event(event: JobEvent | None) -> None:
        states.append((progress.queued, progress.last_sign_ms > start_ms))
        if progress.queued is not None and not progress.ended:
            write(kafka, progress_record("completed"))

    start_ms = 1_000
    await watched_by(on_event, sync_all, progress)

    assert (40_002, True) == states[-1]


async def test_ticks_pass_without_an_event(kafka: KafkaInMemory) -> None:
    ticks = 0

    def on_event(event: JobEvent | None) -> None:
        nonlocal ticks
        ticks += event is None
        if ticks == 3 and event is None:
            write(kafka, progress_record("completed"))

    await watched_by(on_event, sync_all, JobProgress("R", "L1"))

    assert ticks >= 3


async def test_a_broker_that_falls_silent_while_the_past_is_read_is_unreachable(
    kafka: KafkaInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0, 10_000)
    monkeypatch.setattr(job_watch, "now_ms", lambda: next(clock))
    monkeypatch.setattr(job_watch, "Tail", lambda *_, **__: TailInMemory(kafka, ["sync.progress"], None, "end", True))

    with pytest.raises(KafkaUnreachable, match="no response from localhost:9092 for 30 s"):
        await watched(sync_all, resume=True)


async def test_jobs_without_topics_are_refused(kafka: KafkaInMemory) -> None:
    kafka.topics = {}
    for job in (sync_all, backfill):
        with pytest.raises(KafkaRefused, match=r"staging\.sync\.progress: `hydrant topics create`"):
            await watched(job)


async def test_a_cancelled_job_has_ended(kafka: KafkaInMemory) -> None:
    write(kafka, progress_record("started"))
    kafka.worker = writes(progress_record("cancelled", leads_done=3))
    progress = await cancel_and_wait(settings, cancel, 5)

    assert ("cancelled", 3) == (progress.phase, progress.totals()["leads_done"])


async def test_a_cancelled_backfill_counts_the_partitions_that_had_ended_before(kafka: KafkaInMemory) -> None:
    write(kafka, progress_record("completed", 0), progress_record("started", 1))
    kafka.worker = writes(progress_record("cancelled", 1))
    progress = await cancel_and_wait(settings, SyncCancelRequested(request_id="R"), 5)

    assert ("cancelled", 2) == (progress.phase, progress.ended_partitions)


async def test_a_cancel_finds_that_the_job_had_ended(kafka: KafkaInMemory) -> None:
    write(kafka, progress_record("completed"))
    progress = await cancel_and_wait(settings, cancel, 5)

    assert "completed" == progress.phase


async def test_a_cancel_of_an_unknown_job_waits_a_limited_time(kafka: KafkaInMemory) -> None:
    progress = await cancel_and_wait(settings, cancel, 0.01)

    assert (0, 1) == (progress.reported_partitions, len(requests(kafka)))
