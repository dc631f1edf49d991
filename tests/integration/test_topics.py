"""Creating topics, publishing and tailing on a real Kafka, and without one."""

import asyncio
import time

import pytest

from processor.engine.group import monotonic_ms
from processor.engine.ports import Broken
from processor.kafka import (
    KafkaConfig,
    KafkaLog,
    KafkaRefused,
    KafkaUnreachable,
    Tail,
    create_topics,
    describe_topics,
    publish_record,
)
from processor.topics import TOPICS, home, mismatches
from tests.integration.topic_operations import committed_records
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration
nowhere = KafkaConfig("127.0.0.1:9", prefix="nowhere.")


async def test_topics_are_created_once_and_as_the_table_says(config: KafkaConfig) -> None:
    described = await describe_topics(config)

    assert dict.fromkeys(TOPICS, "exists") == await create_topics(config, 7)
    assert {topic.name: (3, topic.cleanup) for topic in TOPICS.values()} == described
    assert [] == mismatches(described)


async def test_missing_topics_are_not_created_by_asking_for_them(broker: Broker, topic_prefix: str) -> None:
    config = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
    with pytest.raises(KafkaRefused, match="there is no topic"):
        await publish_record(config, "lead.changes", b"loc", b"x")
    with pytest.raises(KafkaRefused, match="there is no topic"):
        await Tail(config, ["lead.changes"]).__aenter__()

    assert {} == await describe_topics(config)


async def test_topics_that_kafka_refuses_are_named(broker: Broker, topic_prefix: str) -> None:
    with pytest.raises(KafkaRefused, match=r"lead\.changes: .*[Rr]eplication"):
        await create_topics(KafkaConfig(broker.bootstrap, prefix=topic_prefix), 1, 99)


async def test_a_topic_takes_the_brokers_replication_by_default(broker: Broker, topic_prefix: str) -> None:
    config = KafkaConfig(broker.bootstrap, prefix=topic_prefix)

    assert dict.fromkeys(TOPICS, "created") == await create_topics(config, 2)


async def test_published_records_go_to_their_home(config: KafkaConfig) -> None:
    for number in range(5):
        await publish_record(config, "sync.requests", f"location-{number}".encode(), b"%d" % number, [("h", b"1")])

    records = await committed_records(config, "sync.requests")
    assert {f"location-{n}".encode(): home(f"location-{n}", 3) for n in range(5)} == {
        r.key: r.partition for r in records
    }
    assert {(("h", b"1"),)} == {record.headers for record in records}


async def test_a_tail_shows_records_published_after_its_start(config: KafkaConfig) -> None:
    await publish_record(config, "sync.progress", b"loc", b"before")
    async with Tail(config, ["sync.progress", "lead.updates"]) as tail, asyncio.timeout(10):
        await publish_record(config, "sync.progress", b"loc", b"after")
        assert b"after" == (await anext(aiter(tail))).value


async def test_a_tail_starts_at_a_time(config: KafkaConfig) -> None:
    await publish_record(config, "sync.progress", b"loc", b"before")
    await asyncio.sleep(0.01)
    now = int(time.time() * 1000)
    await publish_record(config, "sync.progress", b"loc", b"after")
    async with asyncio.timeout(10), Tail(config, ["sync.progress"], start=now, follow=False) as tail:
        assert [b"after"] == [record.value async for record in tail]


async def test_without_a_broker_everything_fails_soon_and_names_the_address() -> None:
    begin = monotonic_ms()
    for attempt in (
        publish_record(nowhere, "lead.changes", b"k", b"v"),
        describe_topics(nowhere),
        create_topics(nowhere, 1),
    ):
        with pytest.raises(KafkaUnreachable, match=r"127\.0\.0\.1:9"):
            await attempt
    with pytest.raises(KafkaUnreachable, match=r"127\.0\.0\.1:9"):
        await Tail(nowhere, ["lead.changes"]).__aenter__()
    log = KafkaLog(nowhere, 0)
    with pytest.raises(Broken):
        await log.open()
    await log.close()

    assert monotonic_ms() - begin < 15_000
