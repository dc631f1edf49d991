"""What the commands do over Kafka, on a log in memory; `integration/` does it on a real one."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from processor import commands
from processor.commands import SyncRequest, make_topics, publish_sync, status, sync
from processor.events.cloudevents import Event, Record, decode, encode
from processor.events.contract import EVENTS
from processor.kafka import KafkaRefused, KafkaUnreachable
from processor.settings import WrongSetting, read_settings
from processor.topics import home
from tests.unit.commands.log_in_memory import Kafka, Tail

settings = read_settings({"KAFKA_TOPIC_PREFIX": "staging."})
request = SyncRequest("r1", "L1", "x", deadline_s=30)
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


def standing(location: str, state: str) -> Mapping[str, object]:
    return {"location_id": location, "state": state}


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    log = Kafka()
    monkeypatch.setattr(commands, "Tail", log.tail)
    for name in ("publish_record", "describe_topics", "create_topics"):
        monkeypatch.setattr(commands, name, getattr(log, name))
    return log


def progress(*values: tuple[str, bytes | None]) -> Callable[[Record], Sequence[Record]]:
    return lambda _: [Record("sync.progress", home(key, 12), 0, 0, key.encode(), value) for key, value in values]


async def test_sync_publishes_a_request_that_the_contract_takes(kafka: Kafka) -> None:
    await publish_sync(settings, request)

    (record,) = kafka.records
    taken = decode(record)
    assert isinstance(taken, Event)
    assert ("sync.requests", b"L1") == (record.topic, record.key)
    assert (
        EVENTS["sync.lead.requested"].model_validate(
            {"request_id": "r1", "location_id": "L1", "lead_id": "x", "deadline_s": 30}
        )
        == taken.data
    )


async def test_sync_gives_the_answer_to_its_request(kafka: Kafka) -> None:
    """Not those to others, nor what is no answer; also when the answer is there before anyone reads."""
    others = [{**answer, name: "other"} for name in ("request_id", "location_id", "lead_id")]
    kafka.answers = progress(
        ("L1", None),
        ("L1", b"no JSON, though it says r1"),
        ("L1", b'["r1"]'),
        ("L1", event("sync.progressed", {**answer, "outcome": "no answer"})),
        *(("L1", event("sync.answered", other)) for other in others),
        ("L1", event("sync.answered", answer)),
    )
    given = await sync(settings, request, 5)

    assert given is not None
    assert answer == given.data


async def test_sync_reads_nothing_from_before_it_asked(kafka: Kafka) -> None:
    kafka.write("sync.progress", "L1", event("sync.answered", {**answer, "outcome": "stale"}))
    kafka.answers = progress(("L1", event("sync.answered", answer)))
    given = await sync(settings, request, 5)

    assert given is not None
    assert answer == given.data


async def test_sync_without_an_answer_ends(kafka: Kafka) -> None:
    assert await sync(settings, request, 0.01) is None


async def test_sync_without_topics_is_refused(kafka: Kafka) -> None:
    kafka.there = {}
    with pytest.raises(KafkaRefused, match=r"staging\.sync\.progress: `hydrant topics create`"):
        await sync(settings, request, 5)


async def test_status_is_the_last_of_each_location(kafka: Kafka) -> None:
    """In order; what can't be read, or is of another type, is left out."""
    for location, value in (
        ("L2", event("location.status", standing("L2", "ok"))),
        ("L1", event("location.status", standing("L1", "ok"))),
        ("L3", event("location.status", standing("L3", "ok"))),
        ("L1", event("location.status", standing("L1", "throttled"))),
        ("L3", None),
        ("L4", b"{"),
        ("L5", event("sync.answered", answer)),
    ):
        kafka.write("location.status", location, value)

    assert [standing("L1", "throttled"), standing("L2", "ok")] == await status(settings)
    assert [standing("L2", "ok")] == await status(settings, "L2")
    assert [] == await status(settings, "L3")


async def test_status_does_not_wait_for_a_broker_that_fell_silent(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "silent_at_most_s", 0.01)
    monkeypatch.setattr(commands, "Tail", lambda *_, **__: Tail(kafka, ["location.status"], None, "end", True))
    with pytest.raises(KafkaUnreachable, match="no answer from localhost:9092"):
        await status(settings)


@pytest.mark.parametrize("there", [{}, {"lead.changes": (12, "delete")}])
async def test_topics_are_made(kafka: Kafka, there: dict[str, tuple[int, str]]) -> None:
    kafka.there = there

    assert {"lead.changes": "created"} == await make_topics(settings, 12, 3)
    assert [(12, 3)] == kafka.created


async def test_topics_of_another_number_of_partitions_are_not_added(kafka: Kafka) -> None:
    """Half of them with 12 and half with 24, no worker would start."""
    with pytest.raises(WrongSetting, match="--partitions 24: the topics that are there have 12"):
        await make_topics(settings, 24)
    assert [] == kafka.created
