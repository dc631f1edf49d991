"""What the commands of jobs do over Kafka, on a log in memory; `integration/` does it on a real one."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

import pytest

from processor import commands
from processor.commands import jobs
from processor.commands.jobs import Job, See, ask, ask_to_cancel, cancel, watch
from processor.commands.progress import Progress, Said
from processor.events.cloudevents import Event, Record, decode, encode
from processor.events.contract import EVENTS
from processor.kafka import KafkaRefused, KafkaUnreachable
from processor.settings import read_settings
from processor.topics import home
from tests.unit.commands.log_in_memory import Kafka, Tail

settings = read_settings({"KAFKA_TOPIC_PREFIX": "staging."})
at_most_s = 10  # a watch that doesn't end fails rather than hangs
sync_all = Job("R", "L1", include_messages=True)
backfill = Job("R", None, include_messages=False)
dry_run = Job("R", "L1", include_messages=True, dry_run=True)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """Nobody waits for anybody: whenever nothing is there, a tick passes at once."""
    log = Kafka()
    monkeypatch.setattr(commands, "describe_topics", log.describe_topics)
    monkeypatch.setattr(jobs, "Tail", log.tail)
    monkeypatch.setattr(jobs, "publish_record", log.publish_record)
    monkeypatch.setattr(jobs, "tick_s", 0)
    return log


def word(kind: str, partition: int | None = None, **data: object) -> Record:
    """What a worker writes of job R: of the Sync All of L1, or of one of a backfill's two partitions."""
    where: dict[str, object] = {"location_id": "L1"}
    if partition is not None:
        where = {"location_id": None, "partition": partition, "partitions": 2}
    value = encode(
        f"sync.{kind}",
        {"request_id": "R", **where, **data},
        id="1",
        source="hydrant/L1",
        subject="R",
        location="L1",
        time_ms=0,
    )
    key, at = ("L1", home("L1", 12)) if partition is None else ("R", partition)
    return Record("sync.progress", at, 0, 0, key.encode(), value)


def write(kafka: Kafka, *records: Record) -> None:
    for one in records:
        kafka.write(one.topic, (one.key or b"").decode(), one.value, one.partition)


def answers(*records: Record) -> Callable[[Record], Sequence[Record]]:
    return lambda _: records


def asked(kafka: Kafka) -> list[tuple[bytes | None, object]]:
    """Key and data of what was published, as a worker takes it."""
    taken = [(one.key, decode(one)) for one in kafka.records if one.topic == "sync.requests"]
    return [(key, event.data) for key, event in taken if isinstance(event, Event)]


async def watched(job: Job, *, again: bool = False) -> tuple[Progress, list[str]]:
    """How it stood at the end, and the events that were seen, in order."""
    progress, seen = Progress(job.request_id, job.location_id, live=not again), list[str]()

    def see(said: Said | None) -> None:
        if said is not None:
            seen.append(f"{said.kind.removeprefix('sync.')} {said.partition}")

    await watched_by(see, job, progress, again=again)
    return progress, seen


async def watched_by(see: See, job: Job, progress: Progress, *, again: bool = False) -> None:
    async with asyncio.timeout(at_most_s):
        await watch(settings, job, progress, see, again=again)


@pytest.mark.parametrize(
    ("job", "key", "kind", "data"),
    [
        (Job("R", "L1", False), b"L1", "sync.location.requested", {"location_id": "L1", "include_messages": False}),
        (dry_run, b"L1", "sync.location.requested", {"location_id": "L1", "dry_run": True}),
        (backfill, b"R", "sync.backfill.requested", {}),
    ],
)
async def test_a_request_is_one_that_the_contract_takes(
    kafka: Kafka, job: Job, key: bytes, kind: str, data: dict[str, object]
) -> None:
    await ask(settings, job)

    assert [(key, EVENTS[kind].model_validate({"request_id": "R", **data}))] == asked(kafka)


@pytest.mark.parametrize(("location", "key"), [("L1", b"L1"), (None, b"R")])
async def test_a_cancel_goes_where_the_job_went(kafka: Kafka, location: str | None, key: bytes) -> None:
    await ask_to_cancel(settings, "R", location)

    cancelled = EVENTS["sync.cancel.requested"].model_validate({"request_id": "R", "location_id": location})
    assert [(key, cancelled)] == asked(kafka)


async def test_a_job_is_watched_until_it_is_over(kafka: Kafka) -> None:
    """What others' jobs say, and what is no word of a job, doesn't count."""
    at = home("L1", 12)
    other = word("completed", leads_done=9)
    write(kafka, word("completed", leads_done=8))  # of before it was asked for
    kafka.answers = answers(
        Record("sync.progress", at, 0, 0, b"L1", None),
        Record("sync.progress", at, 0, 0, b"L1", b'no JSON, though it says "R"'),
        Record("sync.progress", at, 0, 0, b"L1", (other.value or b"").replace(b'"R"', b'"other, not R"')),
        Record("sync.progress", at, 0, 0, b"L1", (other.value or b"").replace(b'"L1"', b'"L2"')),
        Record("sync.progress", at, 0, 0, b"L1", (other.value or b"").replace(b"sync.completed", b"sync.answered")),
        word("started"),
        word("progressed", leads_done=1),
        word("completed", leads_done=2),
        word("progressed", leads_done=3),
    )
    progress, seen = await watched(sync_all)

    assert [f"started {at}", f"progressed {at}", f"completed {at}"] == seen
    assert ("completed", 2) == (progress.phase, progress.stand()["leads_done"])


async def test_a_backfill_is_watched_until_each_partition_is_over(kafka: Kafka) -> None:
    kafka.answers = answers(
        word("started", 1), word("completed", 1, leads_done=1), word("started", 0), word("completed", 0, leads_done=2)
    )
    progress, seen = await watched(backfill)

    assert ["started 1", "completed 1", "started 0", "completed 0"] == seen
    assert ("completed", 3, 2) == (progress.phase, progress.stand()["leads_done"], progress.partitions)


async def test_a_job_that_is_watched_again_is_asked_for_and_goes_on_from_what_was_said(kafka: Kafka) -> None:
    at = home("L1", 12)
    write(kafka, word("started"), word("progressed", leads_done=1))
    kafka.answers = answers(word("completed", leads_done=2))
    progress, seen = await watched(sync_all, again=True)

    assert [f"started {at}", f"progressed {at}", f"completed {at}"] == seen
    assert (True, 1) == (progress.live, len(asked(kafka)))


async def test_a_job_that_is_over_is_not_asked_for_again(kafka: Kafka) -> None:
    """After a day its request id would be that of a new job."""
    write(kafka, word("started"), word("failed", reason="refused"))
    progress, _ = await watched(sync_all, again=True)

    assert ("failed", []) == (progress.phase, asked(kafka))


async def test_an_event_that_comes_while_the_past_is_read_is_heard_once(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of the past and that of the news overlap."""
    write(kafka, word("started", 0))
    news: list[Tail] = []

    def tail(*args: object, **kwargs: object) -> Tail:
        made = kafka.tail(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they come
        if news:
            write(kafka, word("progressed", 0), word("started", 1))
        news.append(made)
        return made

    monkeypatch.setattr(jobs, "Tail", tail)
    kafka.answers = answers(word("completed", 0), word("completed", 1))
    _, seen = await watched(backfill, again=True)

    assert ["started 0", "progressed 0", "started 1", "completed 0", "completed 1"] == seen


async def test_a_dry_run_ends_with_its_plan(kafka: Kafka) -> None:
    kafka.answers = answers(word("started", plan="scan", calls_planned=3))
    progress, _ = await watched(dry_run)

    assert ("scan", 3) == (progress.plan()["plan"], progress.plan()["calls_planned"])


async def test_a_dry_run_of_all_locations_waits_for_each_partition(kafka: Kafka) -> None:
    kafka.answers = answers(
        *(word(kind, at, leads_total=5 + at, **why) for at in (0, 1) for kind, why in planned), word("started", 0)
    )
    progress, _ = await watched(Job("R", None, include_messages=False, dry_run=True))

    assert 11 == progress.plan()["leads_total"]


planned: Sequence[tuple[str, dict[str, object]]] = (("started", {}), ("cancelled", {"reason": "dry_run"}))


async def test_an_id_that_json_escapes_is_known(kafka: Kafka) -> None:
    end = (word("completed").value or b"").replace(b'"R"', b'"a\\"b"')
    kafka.answers = answers(Record("sync.progress", home("L1", 12), 0, 0, b"L1", end))
    progress, _ = await watched(Job('a"b', "L1", include_messages=True))

    assert progress.over


async def test_a_status_of_the_location_is_a_sign_of_life_and_tells_what_is_queued(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a job opens its leads, nothing else comes."""
    status = b'{"type": "location.status", "data": {"queued": {"job": 40000, "change": 2, "interactive": 0}}}'
    kafka.answers = answers(Record("location.status", home("L1", 12), 0, 0, b"L1", status))
    clock = count(1_000)
    monkeypatch.setattr(jobs, "now_ms", lambda: next(clock))
    progress, stood = Progress("R", "L1"), list[tuple[int | None, bool]]()

    def see(said: Said | None) -> None:
        stood.append((progress.queued, progress.heard_ms > begin))
        if progress.queued is not None and not progress.over:
            write(kafka, word("completed"))

    begin = 1_000
    await watched_by(see, sync_all, progress)

    assert (40_002, True) == stood[-1]


async def test_who_sees_is_told_that_time_passes(kafka: Kafka) -> None:
    ticks = 0

    def see(said: Said | None) -> None:
        nonlocal ticks
        ticks += said is None
        if ticks == 3 and said is None:
            write(kafka, word("completed"))

    await watched_by(see, sync_all, Progress("R", "L1"))

    assert ticks >= 3


async def test_a_broker_that_falls_silent_while_the_past_is_read_is_told(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0, 10_000)
    monkeypatch.setattr(jobs, "now_ms", lambda: next(clock))
    monkeypatch.setattr(jobs, "Tail", lambda *_, **__: Tail(kafka, ["sync.progress"], None, "end", True))

    with pytest.raises(KafkaUnreachable, match="no answer from localhost:9092 for 30 s"):
        await watched(sync_all, again=True)


async def test_jobs_without_topics_are_refused(kafka: Kafka) -> None:
    kafka.there = {}
    for job in (sync_all, backfill):
        with pytest.raises(KafkaRefused, match=r"staging\.sync\.progress: `hydrant topics create`"):
            await watched(job)


async def test_a_cancelled_job_says_so(kafka: Kafka) -> None:
    write(kafka, word("started"))
    kafka.answers = answers(word("cancelled", leads_done=3))
    progress = await cancel(settings, "R", "L1", 5)

    assert ("cancelled", 3) == (progress.phase, progress.stand()["leads_done"])


async def test_a_cancelled_backfill_counts_the_partitions_that_were_over_before(kafka: Kafka) -> None:
    write(kafka, word("completed", 0), word("started", 1))
    kafka.answers = answers(word("cancelled", 1))
    progress = await cancel(settings, "R", None, 5)

    assert ("cancelled", 2) == (progress.phase, progress.done_partitions)


async def test_a_job_that_is_over_is_found_so(kafka: Kafka) -> None:
    write(kafka, word("completed"))
    progress = await cancel(settings, "R", "L1", 5)

    assert "completed" == progress.phase


async def test_an_unknown_job_is_not_waited_for_long(kafka: Kafka) -> None:
    progress = await cancel(settings, "R", "L1", 0.01)

    assert (False, 1) == (progress.heard, len(asked(kafka)))
