"""The log port's behaviour on Kafka alone, and the traps of aiokafka. `conformance/log_suite.py` has the rest."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import Any

import pytest

from processor.engine.group import monotonic_ms
from processor.engine.ports import Broken, Fenced
from processor.kafka import KafkaConfig, KafkaLog, create_topics, publish_record
from processor.shard.store import OutRecord
from processor.topics import prefixed
from tests.conformance.log_stage import polled, restored, rows_of, values
from tests.integration.topic_operations import delete_records, opened_log, upstream_producer
from tests.lab.kafka_node import node

pytestmark = pytest.mark.integration


async def test_two_groups_on_one_prefix_fence_each_other(config: KafkaConfig) -> None:
    """The group is no part of the transactional id: else both would spend the same budget."""
    other = KafkaConfig(config.bootstrap, prefix=config.prefix, group_id="another")
    async with opened_log(config) as first, opened_log(other):
        with pytest.raises(Fenced):
            await first.commit([OutRecord("lead.updates", b"loc", b"zombie")], [])


async def test_an_offset_that_the_broker_does_not_know_is_no_position(config: KafkaConfig) -> None:
    """Trap: a batch that arrives twice may be acknowledged with offset -1."""
    async with opened_log(config) as log:
        send_batch = log._producer.send_batch

        async def send(*args: Any, **kwargs: Any) -> Any:
            async def acknowledge(sent: Any) -> Any:
                return (await sent)._replace(offset=-1)

            return asyncio.ensure_future(acknowledge(await send_batch(*args, **kwargs)))

        log._producer.send_batch = send
        assert await log.commit([], [("a", b"1")]) is None


async def test_a_failed_batch_is_named(config: KafkaConfig) -> None:
    """Trap: a transaction commits though one of its batches failed, unless every send is awaited."""
    async with opened_log(config) as log:
        with pytest.raises(Broken, match="MessageSizeTooLargeError"):
            await log.commit([OutRecord("dead.letters", b"loc", bytes(3 * 1024 * 1024))], [])


async def test_a_large_turn_is_split_and_still_one_transaction(config: KafkaConfig) -> None:
    """Trap: a batch is limited to 1 MiB; 6 MiB of rows, the largest a document of 1 MiB, go through."""
    rows = [*((f"lead a {number}", bytes(50_000)) for number in range(100)), ("lead a large", bytes(1024 * 1024))]
    async with opened_log(config) as log:
        position = await log.commit([OutRecord("dead.letters", b"loc", bytes(1_900_000))], rows)
        assert position is not None

    async with opened_log(config) as log:
        begin, end = await log.changelog()
        assert position <= end
        assert rows == rows_of(await restored(log, begin, end))


async def test_a_start_that_is_gone_restores_from_the_logs_start(config: KafkaConfig) -> None:
    async with opened_log(config) as log:
        await log.commit([], [("a", b"1"), ("b", b"2")])
    async with opened_log(config) as log:
        log._bounds["processor.changelog"] = 3, 5  # Kafka deletes no records of a compacted log, to try it
        assert [("b", b"2")] == rows_of(await restored(log, 0, 5))


async def test_requests_are_polled_first_and_no_topic_starves(config: KafkaConfig) -> None:
    async with upstream_producer(config) as producer:
        for topic, number in (("lead.changes", 300), ("contact.events", 300), ("sync.requests", 30)):
            for count in range(number):
                await producer.send(prefixed(config.prefix, topic), b"%d" % count, partition=0)
        await producer.flush()
    async with opened_log(config) as log:
        await asyncio.sleep(1)
        batch = await log.poll(100)

    counts = {topic: sum(record.topic == topic for record in batch) for topic in ("lead.changes", "contact.events")}
    assert ["sync.requests"] * 30 == [record.topic for record in batch[:30]]
    assert {"lead.changes": 35, "contact.events": 35} == counts


async def test_a_request_is_not_delayed_by_a_backlog(config: KafkaConfig) -> None:
    """A shared consumer would deliver it only after the backlog, or after the long polls of other topics."""
    async with upstream_producer(config) as producer, opened_log(config) as log:
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


async def test_the_end_of_changes_comes_at_once(config: KafkaConfig) -> None:
    """On the connection of a consumer the question would wait for a long poll."""
    async with opened_log(config) as log:
        polling = asyncio.create_task(log.poll(10))
        await asyncio.sleep(0.3)
        before = monotonic_ms()
        assert await log.changes_end() == 0
        took = monotonic_ms() - before
        polling.cancel()

    assert took < 500


async def test_a_position_before_the_log_is_an_alert_and_reads_from_its_start(config: KafkaConfig) -> None:
    """Trap: out-of-range offsets are silently reset."""
    async with upstream_producer(config) as producer:
        for number in range(5):
            await producer.send_and_wait(prefixed(config.prefix, "lead.changes"), b"%d" % number, partition=0)
    await delete_records(config, "lead.changes", 0, before=3)
    log = KafkaLog(config, 0)
    await log.open()
    alerts = await log.assign({"lead.changes": 1})
    records = await polled(log, 2)
    await log.close()

    assert {"lead.changes"} == set(alerts)
    assert [b"3", b"4"] == values(records)


async def test_a_position_that_goes_out_of_range_breaks_the_log(config: KafkaConfig) -> None:
    async with upstream_producer(config) as producer:
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
    async with opened_log(config) as log:
        await log.commit([OutRecord("lead.changes", b"loc", large), OutRecord("lead.changes", b"loc", b"after")], [])
        assert [large, b"after"] == values(await polled(log, 2))


async def test_without_polls_no_more_than_a_slice_is_read_ahead(config: KafkaConfig) -> None:
    async with upstream_producer(config) as producer:
        for _ in range(3_000):
            await producer.send(prefixed(config.prefix, "lead.changes"), b"x", partition=0)
        await producer.flush()
    async with opened_log(config) as log:
        await asyncio.sleep(1)
        assert 400 == len(log._readers["lead.changes"]._ahead)
        assert 3_000 == len(await polled(log, 3_000))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_log_fails_and_closes_soon_when_the_broker_is_gone_or_hangs(
    sent: signal.Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap: the end of a transaction and `stop()` can wait forever. No task goes on in the background, either."""
    monkeypatch.setattr("processor.kafka.topic_reader.silent_after_s", 2.0)
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
        os.kill(pid, sent)
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
            assert len(caplog.records) < 20  # less than a line per attempt
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_no_value_is_ever_logged(config: KafkaConfig, caplog: pytest.LogCaptureFixture) -> None:
    """Trap: at DEBUG aiokafka writes keys, values and whole requests."""
    with caplog.at_level(logging.DEBUG):
        await publish_record(config, "lead.changes", b"secret-key", b"secret-value", [("h", b"secret-header")])
        async with opened_log(config) as log:
            with pytest.raises(Broken):
                await log.commit(
                    [OutRecord("lead.updates", b"secret-key", b"secret" * 1_000_000)], [("secret-row", b"secret")]
                )

    assert "secret" not in caplog.text
