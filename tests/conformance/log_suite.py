"""The `Log` port: transactions, fencing, restoring, positions and reading, on the simulator's log and on Kafka.

| Difference between fake and real | So |
|---|---|
| A changelog of the fake has its identity row from the start; Kafka's gets it at the first opening | the suite leaves this row out |
| A log of the fake never loses its start | retention, and a position before the start, are tested on Kafka alone |
| The fake hands out all requests, then topic by topic; Kafka's log shares the limit of a poll | fairness is tested on Kafka alone |
| The fake knows no limit of a batch, and refuses one only on demand | splitting of large turns is tested on Kafka alone |
"""

import asyncio
import random

import pytest

from processor.engine.group import monotonic_ms
from processor.engine.ports import Broken, Fenced, Restored
from processor.events.cloudevents import Record
from processor.shard.store import OutRecord
from processor.topics import INPUT_TOPICS
from tests.conformance.log_stage import LogStage, changelog, opened, polled, restored, result, rows_of, values


class LogSuite:
    # transactions

    async def test_a_commit_shows_records_and_rows_together(self, stage: LogStage) -> None:
        out = OutRecord("lead.updates", b"loc", b"result", (("h", b"1"),))
        async with opened(stage) as log:
            await log.commit([out], [("lead a b", b"{}"), ("lead a c", None)])

        found = [
            (one.topic, one.key, one.value, one.headers) for one in await stage.committed("lead.updates", changelog)
        ]
        assert [
            ("lead.updates", b"loc", b"result", (("h", b"1"),)),
            (changelog, b"lead a b", b"{}", ()),
            (changelog, b"lead a c", None, ()),
        ] == sorted(found, key=lambda one: (one[0], one[1] or b""))

    async def test_a_failed_batch_takes_the_whole_transaction_with_it(self, stage: LogStage) -> None:
        async with opened(stage) as log, stage.refused_record() as refused:
            with pytest.raises(Broken):
                await log.commit([refused, result(b"lost")], [("lead a b", b"{}")])

        assert [] == await stage.committed("lead.updates", refused.topic, changelog)

    async def test_readers_need_not_wait_for_a_failed_transaction_to_time_out(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            async with stage.refused_record() as refused:
                with pytest.raises(Broken):
                    await log.commit([refused, result(b"lost")], [])
            await stage.publish("lead.updates", b"later")
            begin = monotonic_ms()

            assert [b"later"] == values(await stage.committed("lead.updates"))
            assert monotonic_ms() - begin < 5_000

    async def test_a_record_of_another_home_keeps_its_time_there(self, stage: LogStage) -> None:
        forwarded = OutRecord("lead.changes", b"loc", b"x", partition=2, timestamp_ms=1_700_000_000_000)
        async with opened(stage) as log:
            await log.commit([forwarded, result(b"y")], [])

        (change,) = await stage.committed("lead.changes")
        (update,) = await stage.committed("lead.updates")
        assert (2, 1_700_000_000_000) == (change.partition, change.timestamp_ms)
        assert 0 == update.partition
        assert update.timestamp_ms > change.timestamp_ms

    async def test_a_commit_without_rows_has_no_changelog_position(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            assert await log.commit([result(b"result")], []) is None

    async def test_a_commit_without_response_is_of_unknown_outcome(self, stage: LogStage) -> None:
        """All of it is there after the next opening, or none of it."""
        async with opened(stage) as log, stage.lose_response(log):
            with pytest.raises(Broken, match="outcome is unknown"):
                await log.commit([result(b"result")], [("a", b"1")])
        async with opened(stage) as log:
            rows = rows_of(await restored(log, *await log.changelog()))

        found = rows, values(await stage.committed("lead.updates"))
        assert found in (([], []), ([("a", b"1")], [b"result"]))

    # fencing

    async def test_the_last_to_open_owns_the_partition(self, stage: LogStage) -> None:
        async with opened(stage) as first:
            await first.commit([result(b"first")], [])
            async with opened(stage) as second:
                with pytest.raises(Fenced):
                    await first.commit([result(b"zombie")], [])
                await second.commit([result(b"second")], [])

        assert [b"first", b"second"] == values(await stage.committed("lead.updates"))

    async def test_a_worker_fenced_in_the_middle_of_its_transaction_learns_it(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            successor = stage.log()
            stage.before_end(log, successor.open)
            with pytest.raises(Fenced):
                await log.commit([result(b"zombie")], [("lead a b", b"{}")])
            await successor.close()

        assert [] == await stage.committed("lead.updates", changelog)

    async def test_a_fenced_log_stays_fenced(self, stage: LogStage) -> None:
        async with opened(stage) as first, opened(stage):
            for _ in range(2):
                with pytest.raises((Fenced, Broken)):
                    await first.commit([result(b"zombie")], [("a", b"1")])

        assert [] == await stage.committed("lead.updates", changelog)

    # restoring

    async def test_a_log_keeps_its_identity(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            pass
        async with opened(stage) as again:
            assert again.identity == log.identity != ""

    async def test_a_commit_returns_the_position_to_restore_from(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            first = await log.commit([], [("a", b"1"), ("b", b"2")])
            second = await log.commit([result(b"result")], [("c", b"3")])
            assert first is not None
            assert second is not None

        async with opened(stage) as log:
            begin, end = await log.changelog()
            assert [("a", b"1"), ("b", b"2"), ("c", b"3")] == rows_of(await restored(log, begin, end))
            assert [("c", b"3")] == rows_of(await restored(log, first, end))
            assert [] == rows_of(await restored(log, second, end))

    async def test_restore_ends_behind_the_unfinished_transaction_of_a_zombie(self, stage: LogStage) -> None:
        """Opening aborts it. Its row is never restored, and restore reaches the end all the same."""
        async with opened(stage) as log:
            position = await log.commit([], [("a", b"1")])
            assert position is not None
        async with stage.transaction(changelog, b"b", b"never", of_worker=True), opened(stage) as successor:
            begin, end = await successor.changelog()
            slices = await restored(successor, begin, end)

        assert [("a", b"1")] == rows_of(slices)
        assert position + 3 == end == slices[-1].position == slices[-1].end  # marker, the zombie's row, marker

    async def test_restore_goes_up_to_the_high_watermark(self, stage: LogStage) -> None:
        """A row beyond the last stable offset counts: restore waits for the end of its transaction."""
        async with opened(stage):
            pass
        async with stage.transaction(changelog, b"a", b"1") as foreign, opened(stage) as log:
            begin, end = await log.changelog()
            restoring = asyncio.create_task(restored(log, begin, end))
            await asyncio.sleep(0.3)
            assert not restoring.done()
            await foreign.commit()

            assert [("a", b"1")] == rows_of(await restoring)

    async def test_restoring_markers_only_ends(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            position = await log.commit([], [("a", b"1")])
            assert position is not None
        async with opened(stage) as successor:
            _, end = await successor.changelog()
            assert position + 1 == end
            assert [Restored([], end, end)] == await restored(successor, position, end)
            assert [] == await restored(successor, end, end)

    # positions

    async def test_reading_starts_at_the_given_positions_else_at_the_start(self, stage: LogStage) -> None:
        for topic in ("lead.changes", "contact.events"):
            await stage.publish(topic, *(b"%d" % number for number in range(5)))
        async with opened(stage, **{"lead.changes": 3}) as log:
            assert {"lead.changes": 3, "contact.events": 0, "sync.requests": 0} == log.positions()
            records = await polled(log, 7)

        assert [b"3", b"4"] == values([record for record in records if record.topic == "lead.changes"])
        assert 5 == sum(record.topic == "contact.events" for record in records)

    async def test_a_position_beyond_the_log_is_an_alert_and_reads_from_the_start(self, stage: LogStage) -> None:
        await stage.publish("contact.events", *(b"%d" % number for number in range(5)))
        log = stage.log()
        await log.open()
        alerts = await log.assign({"contact.events": 99, "sync.requests": 0})
        records = await polled(log, 5)
        await log.close()

        assert {"contact.events"} == set(alerts)
        assert [b"0", b"1", b"2", b"3", b"4"] == values(records)

    async def test_positions_never_lie_beyond_the_polled_records(self, stage: LogStage) -> None:
        await stage.publish("lead.changes", *(b"%d" % number for number in range(10)))
        async with opened(stage) as log:
            assert dict.fromkeys(INPUT_TOPICS, 0) == log.positions()
            await asyncio.sleep(0.5)  # by now all of them are read ahead
            assert 0 == log.positions()["lead.changes"]
            records = await log.poll(4)

            assert 1 <= len(records) <= 4
            assert records[-1].offset + 1 == log.positions()["lead.changes"]

    async def test_a_position_passes_markers_and_poll_returns_then(self, stage: LogStage) -> None:
        """Else a Sync would wait forever for the end of lead.changes, where that end is an aborted transaction."""
        async with opened(stage) as log:
            async with stage.transaction("lead.changes", None, b"never") as upstream:
                await upstream.abort()
            end = await log.changes_end()
            async with asyncio.timeout(5):
                while log.positions()["lead.changes"] < end:
                    assert [] == await log.poll(10)

        assert end == 2

    async def test_the_end_of_changes_is_the_last_stable_offset(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            assert 0 == await log.changes_end()
            async with stage.transaction("lead.changes", None, b"x") as upstream:
                assert 0 == await log.changes_end()
                await upstream.commit()
                assert 2 == await log.changes_end()

    # reading

    async def test_only_committed_records_are_polled(self, stage: LogStage) -> None:
        async with opened(stage) as log:
            async with stage.transaction("lead.changes", None, b"aborted") as upstream:
                await upstream.abort()
            async with stage.transaction("lead.changes", None, b"committed") as upstream:
                await upstream.commit()

            assert [b"committed"] == values(await polled(log, 1))

    async def test_a_record_behind_an_open_transaction_waits_for_its_end(self, stage: LogStage) -> None:
        async with opened(stage) as log, stage.transaction("lead.changes", None, b"first") as upstream:
            await stage.publish("lead.changes", b"second")
            polling = asyncio.create_task(polled(log, 2))
            await asyncio.sleep(0.5)
            assert not polling.done()
            await upstream.commit()

            assert [b"first", b"second"] == values(await polling)

    async def test_requests_are_polled_first(self, stage: LogStage) -> None:
        for topic in ("lead.changes", "contact.events", "sync.requests"):
            await stage.publish(topic, *(b"%d" % number for number in range(30)))
        async with opened(stage) as log:
            await asyncio.sleep(1)  # by now all of them are read ahead
            records = await log.poll(50)

        assert 50 == len(records)
        assert ["sync.requests"] * 30 == [record.topic for record in records[:30]]
        assert [b"%d" % number for number in range(30)] == values(records[:30])

    async def test_a_cancelled_poll_loses_nothing(self, stage: LogStage) -> None:
        seeded, seen = random.Random(7), list[Record]()
        async with opened(stage) as log:

            async def produce() -> None:
                for number in range(400):
                    await stage.publish("lead.changes" if number % 3 else "sync.requests", b"%d" % number)

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

        for topic in ("lead.changes", "sync.requests"):
            found = [int(record.value or b"") for record in seen if record.topic == topic]
            assert [number for number in range(400) if (number % 3 > 0) == (topic == "lead.changes")] == found
