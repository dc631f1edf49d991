"""The log port on a real Kafka: all or nothing, fencing, restoring, positions, leaving; each trap of aiokafka."""

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from processor.engine.ports import Broken, Fenced, Restored
from processor.engine.state_file import StateFolder
from processor.events.cloudevents import Record
from processor.kafka import (
    KafkaConfig,
    KafkaLog,
    Refused,
    Tail,
    Unreachable,
    create_topics,
    describe_topics,
    monotonic_ms,
    publish,
)
from processor.shard.state import Out
from processor.topics import TOPICS, home, mismatches, prefixed
from tests.integration.topic_operations import delete_records, recreate_topic
from tests.lab.kafka_node import Broker, node

pytestmark = pytest.mark.integration
isolations = "read_committed", "read_uncommitted"
nowhere = KafkaConfig("127.0.0.1:9", prefix="nowhere.")


@pytest.fixture
async def config(broker: Broker, topic_prefix: str) -> KafkaConfig:
    found = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
    await create_topics(found, 3, 1)
    return found


class Wall:
    """Milliseconds since 1970, as they are."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def settled_at(self) -> int:
        return 0


@asynccontextmanager
async def opened(config: KafkaConfig, partition: int = 0, **positions: int) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(config, partition)
    try:
        await log.open()
        await log.assign(positions)
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def upstream(config: KafkaConfig, transactional_id: str | None = None) -> AsyncIterator[Any]:
    """Somebody else's producer."""
    producer = AIOKafkaProducer(bootstrap_servers=config.bootstrap, transactional_id=transactional_id)
    await producer.start()
    try:
        yield producer
    finally:
        async with asyncio.timeout(5):
            await producer.stop()


async def everything(config: KafkaConfig, *topics: str) -> list[Record]:
    """But the row by which a changelog tells who it is."""
    async with asyncio.timeout(20):
        await settled(config, *topics)
        async with Tail(config, topics, start="start", follow=False) as tail:
            return [record async for record in tail if record.key != b"identity"]


async def settled(config: KafkaConfig, *topics: str) -> None:
    """Wait until no transaction is open there: Kafka answers a commit before it has written the markers that say so."""
    every = [TopicPartition(prefixed(config.prefix, topic), partition) for topic in topics for partition in range(3)]
    stable, all_ = (AIOKafkaConsumer(bootstrap_servers=config.bootstrap, isolation_level=level) for level in isolations)
    await stable.start()
    await all_.start()
    while await stable.end_offsets(every) != await all_.end_offsets(every):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await stable.stop()
    await all_.stop()


async def restored(log: KafkaLog, start: int, end: int) -> list[Restored]:
    async with asyncio.timeout(10):
        return [slice_ async for slice_ in log.restore(start, end)]


def rows_of(slices: Sequence[Restored]) -> list[tuple[str, bytes | None]]:
    """But the row by which a changelog tells who it is."""
    return [row for slice_ in slices for row in slice_.rows if row[0] != "identity"]


async def polled(log: KafkaLog, number: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(10):
        while len(records) < number:
            records += await log.poll(400)
    return records


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


async def test_a_commit_shows_records_and_rows_together(config: KafkaConfig) -> None:
    async with opened(config, 1) as log:
        await log.commit(
            [Out("lead.updates", b"loc", b"result", (("h", b"1"),))], [("lead a b", b"{}"), ("lead a c", None)]
        )

    found = [
        (one.topic, one.partition, one.key, one.value, one.headers)
        for one in await everything(config, "lead.updates", "processor.changelog")
    ]
    assert [
        ("lead.updates", 1, b"loc", b"result", (("h", b"1"),)),
        ("processor.changelog", 1, b"lead a b", b"{}", ()),
        ("processor.changelog", 1, b"lead a c", None, ()),
    ] == sorted(found, key=lambda one: (one[0], one[2]))


async def test_a_failed_batch_takes_the_whole_transaction_with_it(config: KafkaConfig) -> None:
    """Trap: a transaction commits though one of its batches failed, unless every send is awaited."""
    async with opened(config) as log:
        too_large = Out("dead.letters", b"loc", bytes(3 * 1024 * 1024))
        with pytest.raises(Broken, match="MessageSizeTooLargeError"):
            await log.commit([Out("lead.updates", b"loc", b"result"), too_large], [("lead a b", b"{}")])

    assert [] == await everything(config, "lead.updates", "dead.letters", "processor.changelog")


async def test_readers_need_not_wait_for_a_failed_transaction_to_time_out(config: KafkaConfig) -> None:
    async with opened(config) as log:
        with pytest.raises(Broken):
            await log.commit([Out("lead.updates", b"loc", b"lost"), Out("dead.letters", b"loc", bytes(3 << 20))], [])
        await publish(config, "lead.updates", b"loc", b"later")
        begin = monotonic_ms()

        assert [b"later"] == values(await everything(config, "lead.updates"))
        assert monotonic_ms() - begin < 5_000


async def test_whoever_opens_last_owns_the_partition(config: KafkaConfig) -> None:
    async with opened(config) as first:
        await first.commit([Out("lead.updates", b"loc", b"first")], [])
        async with opened(config) as second:
            with pytest.raises(Fenced):
                await first.commit([Out("lead.updates", b"loc", b"zombie")], [])
            await second.commit([Out("lead.updates", b"loc", b"second")], [])

    assert [b"first", b"second"] == values(await everything(config, "lead.updates"))


async def test_a_worker_fenced_in_the_middle_of_its_transaction_learns_it(config: KafkaConfig) -> None:
    async with opened(config) as first, opened(config) as second:
        await first.close()
        third = KafkaLog(config, 0)
        end = second._producer.commit_transaction

        async def commit_late() -> None:
            await third.open()
            await end()

        second._producer.commit_transaction = commit_late
        with pytest.raises(Fenced):
            await second.commit([Out("lead.updates", b"loc", b"zombie")], [("lead a b", b"{}")])
        await third.close()

    assert [] == await everything(config, "lead.updates", "processor.changelog")


async def test_two_groups_on_one_prefix_fence_each_other(config: KafkaConfig) -> None:
    """The group is no part of the transactional id: else both would spend the same budget."""
    other = KafkaConfig(config.bootstrap, prefix=config.prefix, group_id="another")
    async with opened(config) as first, opened(other):
        with pytest.raises(Fenced):
            await first.commit([Out("lead.updates", b"loc", b"zombie")], [])


async def test_a_commit_tells_where_to_restore_from(config: KafkaConfig) -> None:
    async with opened(config) as log:
        first = await log.commit([], [("a", b"1"), ("b", b"2")])
        second = await log.commit([Out("lead.updates", b"loc", b"result")], [("c", b"3")])
        assert first is not None
        assert second is not None

    async with opened(config) as log:
        _, end = await log.changelog()
        assert [("c", b"3")] == rows_of(await restored(log, first, end))
        assert [] == rows_of(await restored(log, second, end))


async def test_a_commit_without_rows_says_nothing_of_the_changelog(config: KafkaConfig) -> None:
    async with opened(config) as log:
        assert await log.commit([Out("lead.updates", b"loc", b"result")], []) is None


async def test_an_offset_that_the_broker_does_not_know_is_no_position(config: KafkaConfig) -> None:
    """Trap: a batch that arrives twice may be answered with offset -1."""
    async with opened(config) as log:
        send_batch = log._producer.send_batch

        async def send(*args: Any, **kwargs: Any) -> Any:
            async def answer(sent: Any) -> Any:
                return (await sent)._replace(offset=-1)

            return asyncio.ensure_future(answer(await send_batch(*args, **kwargs)))

        log._producer.send_batch = send
        assert await log.commit([], [("a", b"1")]) is None


async def test_an_unanswered_commit_is_of_unknown_outcome(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.kafka.partition.commit_within_s", 1.0)
    async with opened(config) as log:
        log._producer.commit_transaction = asyncio.Event().wait
        with pytest.raises(Broken, match="outcome is unknown"):
            await log.commit([], [("a", b"1")])


async def test_a_large_turn_is_split_and_still_one_transaction(config: KafkaConfig) -> None:
    """Trap: a batch is limited to 1 MiB; 6 MiB of rows, the largest a document of 1 MiB, go through."""
    rows = [*((f"lead a {number}", bytes(50_000)) for number in range(100)), ("lead a large", bytes(1024 * 1024))]
    async with opened(config) as log:
        position = await log.commit([Out("dead.letters", b"loc", bytes(1_900_000))], rows)
        assert position is not None

    async with opened(config) as log:
        begin, end = await log.changelog()
        assert position <= end
        assert rows == rows_of(await restored(log, begin, end))


async def test_a_record_of_another_home_keeps_its_time_there(config: KafkaConfig) -> None:
    async with opened(config, 0) as log:
        rehomed = Out(
            "lead.changes", b"loc", b"x", (("hydrant-rehomed", b"1"),), partition=2, timestamp_ms=1_700_000_000_000
        )
        await log.commit([rehomed, Out("lead.updates", b"loc", b"y")], [])

    (record,) = await everything(config, "lead.changes")
    assert (2, 1_700_000_000_000) == (record.partition, record.timestamp_ms)
    (record,) = await everything(config, "lead.updates")
    assert abs(record.timestamp_ms - time.time() * 1000) < 10_000


async def test_restore_ends_behind_what_a_zombie_left_unfinished(config: KafkaConfig) -> None:
    """Traps: the end of a read_committed consumer is the last stable offset; an aborted tail brings no record."""
    async with opened(config) as log:
        await log.commit([], [("a", b"1")])
        await log.close()
        async with upstream(config, f"{config.prefix}processor.0") as zombie:
            await zombie.begin_transaction()
            changelog = prefixed(config.prefix, "processor.changelog")
            await zombie.send_and_wait(changelog, b"never", b"b", partition=0)
            async with opened(config) as successor:
                begin, end = await successor.changelog()
                slices = await restored(successor, begin, end)

    assert (0, 6) == (begin, end)  # who it is, a, the zombie's row, each with its marker
    assert [("a", b"1")] == rows_of(slices)
    assert end == slices[-1].position


async def test_restore_goes_up_to_the_high_watermark(config: KafkaConfig) -> None:
    """Trap: a read_committed consumer is told the last stable offset as the end; here someone's row lies beyond it."""
    async with opened(config):
        pass
    async with upstream(config, f"{config.prefix}upstream") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(prefixed(config.prefix, "processor.changelog"), b"1", b"a", partition=0)
        async with opened(config) as log:
            begin, end = await log.changelog()
            restoring = asyncio.create_task(restored(log, begin, end))
            await asyncio.sleep(0.3)
            await producer.commit_transaction()

            assert (0, 3) == (begin, end)
            assert [("a", b"1")] == rows_of(await restoring)


async def test_restoring_what_holds_markers_only_ends(config: KafkaConfig) -> None:
    async with opened(config) as log:
        position = await log.commit([], [("a", b"1")])
        assert position == 3
        await log.close()
        async with opened(config) as successor:
            assert (0, 4) == await successor.changelog()
            assert [Restored([], 4, 4)] == await restored(successor, 3, 4)
            assert [] == await restored(successor, 4, 4)


async def test_a_start_that_is_gone_restores_from_the_logs_start(config: KafkaConfig) -> None:
    async with opened(config) as log:
        await log.commit([], [("a", b"1"), ("b", b"2")])
    async with opened(config) as log:
        log._bounds["processor.changelog"] = 3, 5  # Kafka lets nobody cut a compacted log, to try it
        assert [("b", b"2")] == rows_of(await restored(log, 0, 5))


async def test_a_partitions_changelog_is_known_again(config: KafkaConfig) -> None:
    """By its cluster, its name, and a row of its own that says who it is: the first one, and never written again."""
    async with opened(config, 0) as log, opened(config, 1) as other:
        cluster, name, row = log.identity.split(" ")
        _, _, others = other.identity.split(" ")
        await log.commit([], [("a", b"1")])
    async with opened(config, 0) as again:
        slices = await restored(again, *await again.changelog())

    assert log.identity == again.identity
    assert f"{cluster} {name} {others}" == other.identity
    assert len(cluster) > 10
    assert prefixed(config.prefix, "processor.changelog") == name
    assert len({row, others}) == 2
    assert [("identity", row.encode()), ("a", b"1")] == [row for slice_ in slices for row in slice_.rows]


async def test_a_changelogs_bounds_hold_its_own_row(config: KafkaConfig) -> None:
    """Else a file that was restored up to there would begin before a row that is in the log."""
    async with opened(config) as log:
        begin, end = await log.changelog()
        slices = await restored(log, begin, end)

    assert begin == 0
    assert end in (1, 2)  # Kafka answers a commit before it has written its marker
    assert [log.identity.split(" ")[-1].encode()] == [value for slice_ in slices for _, value in slice_.rows]


async def test_a_changelog_deleted_and_made_anew_is_another_one(config: KafkaConfig, tmp_path: Path) -> None:
    """Trap: no topic ids are learnt. The kept file's position lies within the new log, and yet it isn't trusted."""
    open_state = StateFolder(tmp_path, "0", Wall())
    async with opened(config) as log:
        file = open_state(log.identity, *await log.changelog())
        position = await log.commit([], [("old", b"1")])
        assert position is not None
        file.state.restore([("old", b"1")], position)
        file.close()
    kept = open_state(log.identity, 0, position)
    kept.close()
    await recreate_topic(config, "processor.changelog", 3)
    async with opened(config) as anew:
        await anew.commit([], [("new", b"1"), ("more", b"1")])
    async with opened(config) as anew:
        begin, end = await anew.changelog()
        file = open_state(anew.identity, begin, end)
        rows = rows_of(await restored(anew, file.state.position, end))
        file.close()

    assert begin <= position <= end
    assert anew.identity != log.identity
    assert ["kept", "fresh"] == [kept.origin, file.origin]
    assert [("new", b"1"), ("more", b"1")] == rows


async def test_a_changelog_that_does_not_begin_with_its_own_row_is_never_the_same(config: KafkaConfig) -> None:
    """Its beginning was cut off, or it is from before there were such rows: no kept file can be matched with it."""
    async with upstream(config) as producer:
        await producer.send_and_wait(prefixed(config.prefix, "processor.changelog"), b"1", b"a", partition=0)
    async with opened(config) as log:
        first, bounds = log.identity, await log.changelog()
    async with opened(config) as log:
        assert first != log.identity
        assert (0, 1) == bounds == await log.changelog()


async def test_a_row_of_its_own_that_was_never_committed_is_none(config: KafkaConfig) -> None:
    """Trap: aborted batches and markers at the start of a log bring no record; nor does the log end there."""
    changelog = prefixed(config.prefix, "processor.changelog")
    async with upstream(config, f"{config.prefix}processor.0") as died:
        await died.begin_transaction()
        await died.send_and_wait(changelog, b"never", b"identity", partition=0)
        async with opened(config) as log:
            identity = log.identity
    async with opened(config) as again:
        assert identity == again.identity
        assert (0, 4) == await again.changelog()  # what was aborted, and what took its place
        assert not identity.endswith("never")


async def test_whoever_is_fenced_while_it_says_who_it_is_learns_it(config: KafkaConfig) -> None:
    log, successor = KafkaLog(config, 0), KafkaLog(config, 0)
    commit = log.commit

    async def commit_late(records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        await successor.open()
        return await commit(records, rows)

    log.commit = commit_late  # type: ignore[method-assign]  # so that someone comes in between
    with pytest.raises(Fenced):
        await log.open()
    await log.close()
    await successor.close()

    assert [("identity", successor.identity.split(" ")[-1])] == [
        (record.key.decode(), record.value.decode()) for record in await changelog_of(config)
    ]


async def test_requests_are_taken_first_and_nobody_starves(config: KafkaConfig) -> None:
    async with upstream(config) as producer:
        for topic, number in (("lead.changes", 300), ("contact.events", 300), ("sync.requests", 30)):
            for count in range(number):
                await producer.send(prefixed(config.prefix, topic), b"%d" % count, partition=0)
        await producer.flush()
    async with opened(config) as log:
        await asyncio.sleep(1)
        batch = await log.poll(100)

    counts = {topic: sum(record.topic == topic for record in batch) for topic in ("lead.changes", "contact.events")}
    assert ["sync.requests"] * 30 == [record.topic for record in batch[:30]]
    assert {"lead.changes": 35, "contact.events": 35} == counts


async def test_a_request_is_not_held_up_by_a_backlog(config: KafkaConfig) -> None:
    """One consumer for all topics would bring it only after the backlog that lies ahead, or others' long polls."""
    async with upstream(config) as producer, opened(config) as log:
        for _ in range(10_000):
            await producer.send(prefixed(config.prefix, "lead.changes"), bytes(500), partition=0)
        await producer.flush()
        waits = []
        for _ in range(5):
            sent = monotonic_ms()
            await producer.send_and_wait(prefixed(config.prefix, "sync.requests"), b"?", partition=0)
            async with asyncio.timeout(10):
                while "sync.requests" not in [record.topic for record in await log.poll(100)]:  # noqa: ASYNC110
                    await asyncio.sleep(0.03)  # a turn
            waits.append(monotonic_ms() - sent)

    assert max(waits) < 300


async def test_a_cancelled_poll_loses_nothing(config: KafkaConfig) -> None:
    seeded = random.Random(7)
    seen: list[Record] = []
    async with upstream(config) as producer, opened(config) as log:

        async def produce() -> None:
            for number in range(400):
                topic = "lead.changes" if number % 3 else "sync.requests"
                await producer.send_and_wait(prefixed(config.prefix, topic), b"%d" % number, partition=0)

        producing = asyncio.create_task(produce())
        async with asyncio.timeout(30):
            while len(seen) < 400:
                polling = asyncio.create_task(log.poll(5))
                await asyncio.wait([polling], timeout=seeded.random() * 0.004)
                polling.cancel()
                await asyncio.wait([polling])
                if not polling.cancelled():
                    seen += polling.result()
        await producing

    expected = list(range(400))
    for topic in ("lead.changes", "sync.requests"):
        here = [int(record.value or b"") for record in seen if record.topic == topic]
        assert [number for number in expected if (number % 3 > 0) == (topic == "lead.changes")] == here


async def test_positions_are_those_of_what_was_polled(config: KafkaConfig) -> None:
    async with upstream(config) as producer:
        for number in range(10):
            await producer.send_and_wait(prefixed(config.prefix, "lead.changes"), b"%d" % number, partition=0)
    async with opened(config) as log:
        assert {"lead.changes": 0, "sync.requests": 0, "contact.events": 0} == log.positions()
        await asyncio.sleep(0.5)  # by now all of them lie ahead
        records = await log.poll(4)
        assert records[-1].offset + 1 == log.positions()["lead.changes"]


async def test_a_position_passes_markers_and_poll_says_so(config: KafkaConfig) -> None:
    """Else a Sync would wait for ever for the end of lead.changes, where that end is an aborted transaction."""
    async with opened(config) as log, upstream(config, f"{config.prefix}upstream") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(prefixed(config.prefix, "lead.changes"), b"never", partition=0)
        await producer.abort_transaction()
        await settled(config, "lead.changes")
        end = await log.changes_end()
        async with asyncio.timeout(5):
            while log.positions()["lead.changes"] < end:
                assert [] == await log.poll(10)

    assert end == 2


async def test_the_end_of_changes_is_the_last_stable_offset_and_comes_at_once(config: KafkaConfig) -> None:
    """At once: on the connection of a consumer it would wait for that one's long poll."""
    async with opened(config) as log, upstream(config, f"{config.prefix}upstream") as producer:
        polling = asyncio.create_task(log.poll(10))
        await asyncio.sleep(0.3)
        before = monotonic_ms()
        assert await log.changes_end() == 0
        took = monotonic_ms() - before
        await producer.begin_transaction()
        await producer.send_and_wait(prefixed(config.prefix, "lead.changes"), b"x", partition=0)
        assert await log.changes_end() == 0
        await producer.commit_transaction()
        await settled(config, "lead.changes")
        assert await log.changes_end() == 2
        polling.cancel()

    assert took < 500


async def test_a_position_outside_of_the_log_is_told_and_read_from_the_start(config: KafkaConfig) -> None:
    """Trap: out-of-range offsets are silently reset."""
    async with upstream(config) as producer:
        for topic in ("lead.changes", "contact.events"):
            for number in range(5):
                await producer.send_and_wait(prefixed(config.prefix, topic), b"%d" % number, partition=0)
    await delete_records(config, "lead.changes", 0, before=3)
    log = KafkaLog(config, 0)
    await log.open()
    alerts = await log.assign({"lead.changes": 1, "contact.events": 99, "sync.requests": 0})
    records = await polled(log, 7)
    await log.close()

    assert {"lead.changes", "contact.events"} == set(alerts)
    assert [b"3", b"4"] == values([record for record in records if record.topic == "lead.changes"])
    assert 5 == sum(record.topic == "contact.events" for record in records)


async def test_a_position_that_goes_out_of_range_breaks_the_log(config: KafkaConfig) -> None:
    async with upstream(config) as producer:
        for number in range(5):
            await producer.send_and_wait(prefixed(config.prefix, "lead.changes"), b"%d" % number, partition=0)
    log = KafkaLog(config, 0)
    await log.open()
    await delete_records(config, "lead.changes", 0, before=3)
    await log.assign({})
    with pytest.raises(Broken, match=r"lead\.changes: position 0 is out of range"):
        await polled(log, 5)
    await log.close()


async def test_the_largest_message_is_read(config: KafkaConfig) -> None:
    large = bytes(2 * 1024 * 1024 - 1_000)
    async with opened(config) as log:
        await log.commit([Out("lead.changes", b"loc", large), Out("lead.changes", b"loc", b"after")], [])
        assert [large, b"after"] == values(await polled(log, 2))


async def test_who_does_not_poll_reads_no_further_than_a_slice(config: KafkaConfig) -> None:
    async with upstream(config) as producer:
        for _ in range(3_000):
            await producer.send(prefixed(config.prefix, "lead.changes"), b"x", partition=0)
        await producer.flush()
    async with opened(config) as log:
        await asyncio.sleep(1)
        assert 400 == len(log._inputs["lead.changes"]._ahead)
        assert 3_000 == len(await polled(log, 3_000))


async def test_only_committed_records_are_polled(config: KafkaConfig) -> None:
    async with opened(config) as log, upstream(config, f"{config.prefix}upstream") as producer:
        for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
            await producer.begin_transaction()
            await producer.send_and_wait(prefixed(config.prefix, "lead.changes"), value, partition=0)
            await end()

        assert [b"committed"] == values(await polled(log, 1))


async def test_topics_are_created_once_and_as_the_table_says(config: KafkaConfig) -> None:
    described = await describe_topics(config)

    assert dict.fromkeys(TOPICS, "exists") == await create_topics(config, 7)
    assert {topic.name: (3, topic.cleanup) for topic in TOPICS.values()} == described
    assert [] == mismatches(described)


async def test_topics_that_are_missing_are_absent_and_not_made_by_asking(broker: Broker, topic_prefix: str) -> None:
    config = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
    with pytest.raises(Refused, match="there is no topic"):
        await publish(config, "lead.changes", b"loc", b"x")
    with pytest.raises(Refused, match="there is no topic"):
        await Tail(config, ["lead.changes"]).__aenter__()

    assert {} == await describe_topics(config)


async def test_topics_that_kafka_refuses_are_told(broker: Broker, topic_prefix: str) -> None:
    with pytest.raises(Refused, match=r"lead\.changes: .*[Rr]eplication"):
        await create_topics(KafkaConfig(broker.bootstrap, prefix=topic_prefix), 1, 99)


async def test_a_topic_takes_the_brokers_replication_by_default(broker: Broker, topic_prefix: str) -> None:
    config = KafkaConfig(broker.bootstrap, prefix=topic_prefix)

    assert dict.fromkeys(TOPICS, "created") == await create_topics(config, 2)


async def test_what_is_published_goes_home(config: KafkaConfig) -> None:
    for number in range(5):
        await publish(config, "sync.requests", f"location-{number}".encode(), b"%d" % number, [("h", b"1")])

    records = await everything(config, "sync.requests")
    assert {f"location-{n}".encode(): home(f"location-{n}", 3) for n in range(5)} == {
        r.key: r.partition for r in records
    }
    assert {(("h", b"1"),)} == {record.headers for record in records}


async def test_a_tail_shows_what_comes_after_it_was_entered(config: KafkaConfig) -> None:
    await publish(config, "sync.progress", b"loc", b"before")
    async with Tail(config, ["sync.progress", "lead.updates"]) as tail, asyncio.timeout(10):
        await publish(config, "sync.progress", b"loc", b"after")
        assert b"after" == (await anext(aiter(tail))).value


async def test_a_tail_starts_at_a_time(config: KafkaConfig) -> None:
    await publish(config, "sync.progress", b"loc", b"before")
    await asyncio.sleep(0.01)
    now = int(time.time() * 1000)
    await publish(config, "sync.progress", b"loc", b"after")
    async with asyncio.timeout(10), Tail(config, ["sync.progress"], start=now, follow=False) as tail:
        assert [b"after"] == [record.value async for record in tail]


async def test_without_a_broker_everything_ends_soon_and_says_where_it_looked() -> None:
    begin = monotonic_ms()
    for attempt in (publish(nowhere, "lead.changes", b"k", b"v"), describe_topics(nowhere), create_topics(nowhere, 1)):
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            await attempt
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        await Tail(nowhere, ["lead.changes"]).__aenter__()
    log = KafkaLog(nowhere, 0)
    with pytest.raises(Broken):
        await log.open()
    await log.close()

    assert monotonic_ms() - begin < 15_000


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_log_tells_and_closes_soon_when_the_broker_is_gone_or_hangs(
    fate: signal.Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap: the end of a transaction and `stop()` can wait for ever. Nothing goes on behind it, either."""
    monkeypatch.setattr("processor.kafka.inputs.silent_after_s", 2.0)
    with node() as mortal:
        config = KafkaConfig(mortal.bootstrap, prefix="gone.")
        await create_topics(config, 1, 1)
        others = asyncio.all_tasks()
        log = KafkaLog(config, 0)
        await log.open()
        await log.assign({})
        await log.commit([], [("a", b"1")])
        pid = mortal.pid
        assert pid is not None
        os.kill(pid, fate)
        try:
            committing = asyncio.create_task(log.commit([], [("b", b"2")]))
            with pytest.raises(Broken, match="no answer to a fetch"):
                async with asyncio.timeout(6):
                    await log.poll(10)
            committing.cancel()
            await asyncio.wait([committing], timeout=2)
            begin = monotonic_ms()
            await log.close()

            assert monotonic_ms() - begin < 4_000
            await asyncio.sleep(0.5)
            assert [] == [repr(task) for task in asyncio.all_tasks() - others]
            assert len(caplog.records) < 20  # not a line for each attempt
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_no_value_is_ever_logged(config: KafkaConfig, caplog: pytest.LogCaptureFixture) -> None:
    """Trap: at DEBUG aiokafka writes keys, values and whole requests."""
    with caplog.at_level(logging.DEBUG):
        await publish(config, "lead.changes", b"secret-key", b"secret-value", [("h", b"secret-header")])
        async with opened(config) as log:
            with pytest.raises(Broken):
                await log.commit(
                    [Out("lead.updates", b"secret-key", b"secret" * 1_000_000)], [("secret-row", b"secret")]
                )

    assert "secret" not in caplog.text


async def changelog_of(config: KafkaConfig) -> list[Any]:
    async with Tail(config, ["processor.changelog"], start="start", follow=False) as tail, asyncio.timeout(20):
        return [record async for record in tail]
