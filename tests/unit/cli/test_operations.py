"""The operations of the commands, on Kafka in memory; `tests/integration` runs the commands on a real one."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from processor.cli import operations
from processor.cli.operations import make_topics, publish_request, read_statuses, sync_lead
from processor.events.cloudevents import Event, Record, decode, encode
from processor.events.contract import EVENTS, SyncLeadRequested
from processor.kafka import KafkaRefused, KafkaUnreachable
from processor.settings import WrongSetting, read_settings
from processor.topics import home
from tests.unit.cli.log_in_memory import KafkaInMemory, TailInMemory

settings = read_settings({"KAFKA_TOPIC_PREFIX": "staging."})
request = SyncLeadRequested(request_id="r1", location_id="L1", lead_id="x", deadline_s=30)
answer: Mapping[str, object] = {
    "request_id": "r1",
    "location_id": "L1",
    "lead_id": "x",
    "sequence": 1,
    "outcome": "updated",
    "lead_updated": True,
    "filled": ["contact_id"],
    "messages_imported": 0,
    "reason": None,
}


def event(kind: str, data: Mapping[str, object]) -> bytes:
    return encode(kind, data, id="1", source="hydrant/L1", subject="s", location="L1", time_ms=0)


def status(location: str, state: str) -> Mapping[str, object]:
    return {"location_id": location, "state": state}


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> KafkaInMemory:
    log = KafkaInMemory()
    monkeypatch.setattr(operations, "Tail", log.tail)
    for name in ("publish_record", "describe_topics", "create_topics"):
        monkeypatch.setattr(operations, name, getattr(log, name))
    return log


def writes(*values: tuple[str, bytes | None]) -> Callable[[Record], Sequence[Record]]:
    return lambda _: [Record("sync.progress", home(key, 12), 0, 0, key.encode(), value) for key, value in values]


async def test_a_sync_request_is_one_that_a_worker_decodes(kafka: KafkaInMemory) -> None:
    await publish_request(settings, request)

    (record,) = kafka.records
    event = decode(record)
    assert isinstance(event, Event)
    assert ("sync.requests", b"L1") == (record.topic, record.key)
    assert (
        EVENTS["sync.lead.requested"].model_validate(
            {"request_id": "r1", "location_id": "L1", "lead_id": "x", "deadline_s": 30}
        )
        == event.data
    )


async def test_sync_returns_the_answer_to_its_own_request(kafka: KafkaInMemory) -> None:
    """Other requests' answers and other records are ignored. The answer may arrive before the first read."""
    others = [{**answer, name: "other"} for name in ("request_id", "location_id", "lead_id")]
    kafka.worker = writes(
        ("L1", None),
        ("L1", b"no JSON, though it holds r1"),
        ("L1", b'["r1"]'),
        ("L1", event("sync.progressed", {**answer, "outcome": "no answer"})),
        *(("L1", event("sync.answered", other)) for other in others),
        ("L1", event("sync.answered", answer)),
    )
    returned = await sync_lead(settings, request, 5)

    assert returned is not None
    assert answer == returned.data


async def test_sync_reads_nothing_from_before_its_request(kafka: KafkaInMemory) -> None:
    kafka.write("sync.progress", "L1", event("sync.answered", {**answer, "outcome": "stale"}))
    kafka.worker = writes(("L1", event("sync.answered", answer)))
    returned = await sync_lead(settings, request, 5)

    assert returned is not None
    assert answer == returned.data


async def test_sync_without_an_answer_ends(kafka: KafkaInMemory) -> None:
    assert await sync_lead(settings, request, 0.01) is None


async def test_sync_without_topics_is_refused(kafka: KafkaInMemory) -> None:
    kafka.topics = {}
    with pytest.raises(KafkaRefused, match=r"staging\.sync\.progress: `hydrant topics create`"):
        await sync_lead(settings, request, 5)


async def test_the_latest_status_of_each_location_is_returned(kafka: KafkaInMemory) -> None:
    """In order; unreadable values and other types are left out."""
    for location, value in (
        ("L2", event("location.status", status("L2", "ok"))),
        ("L1", event("location.status", status("L1", "ok"))),
        ("L3", event("location.status", status("L3", "ok"))),
        ("L1", event("location.status", status("L1", "throttled"))),
        ("L3", None),
        ("L4", b"{"),
        ("L5", event("sync.answered", answer)),
    ):
        kafka.write("location.status", location, value)

    assert [status("L1", "throttled"), status("L2", "ok")] == await read_statuses(settings)
    assert [status("L2", "ok")] == await read_statuses(settings, "L2")
    assert [] == await read_statuses(settings, "L3")


async def test_reading_statuses_ends_when_the_broker_falls_silent(
    kafka: KafkaInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "silent_at_most_s", 0.01)
    monkeypatch.setattr(
        operations, "Tail", lambda *_, **__: TailInMemory(kafka, ["location.status"], None, "end", True)
    )
    with pytest.raises(KafkaUnreachable, match="no response from localhost:9092"):
        await read_statuses(settings)


@pytest.mark.parametrize("topics", [{}, {"lead.changes": (12, "delete")}])
async def test_topics_are_created(kafka: KafkaInMemory, topics: dict[str, tuple[int, str]]) -> None:
    kafka.topics = topics

    assert {"lead.changes": "created"} == await make_topics(settings, 12, 3)
    assert [(12, 3)] == kafka.created


async def test_topics_of_another_number_of_partitions_are_not_added(kafka: KafkaInMemory) -> None:
    """Half of them with 12 and half with 24, no worker would start."""
    with pytest.raises(WrongSetting, match="--partitions 24: the existing topics have 12"):
        await make_topics(settings, 24)
    assert [] == kafka.created
