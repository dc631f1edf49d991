"""A changelog names itself, so that a state file of another log is never trusted."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from processor.engine.ports import Broken, Fenced
from processor.engine.state_file import StateFolder
from processor.kafka import KafkaConfig, KafkaLog, Tail
from processor.shard.documents.format import FORMAT
from processor.shard.store import OutRecord
from processor.topics import prefixed
from tests.conformance.log_stage import restored, rows_of
from tests.integration.topic_operations import opened_log, recreate_topic, upstream_producer

pytestmark = pytest.mark.integration


class PlainClock:
    """The wall clock as it is."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def settled_at(self) -> int:
        return 0


def written_identity(log: KafkaLog) -> bytes:
    """Return the value of the identity row."""
    return f"{log.identity.split(' ')[-1]} {FORMAT}".encode()


async def test_an_identity_names_cluster_topic_and_partition(config: KafkaConfig) -> None:
    """The row that names the partition's log is its first one, and never written again."""
    async with opened_log(config, 0) as log, opened_log(config, 1) as other:
        cluster, name, row = log.identity.split(" ")
        _, _, others = other.identity.split(" ")
        await log.commit([], [("a", b"1")])
    async with opened_log(config, 0) as again:
        slices = await restored(again, *await again.changelog())

    assert log.identity == again.identity
    assert f"{cluster} {name} {others}" == other.identity
    assert len(cluster) > 10
    assert prefixed(config.prefix, "processor.changelog") == name
    assert len({row, others}) == 2
    assert [("identity", f"{row} {FORMAT}".encode()), ("a", b"1")] == [row for slice_ in slices for row in slice_.rows]


async def test_a_changelogs_bounds_include_its_identity_row(config: KafkaConfig) -> None:
    """Else a file that was restored up to there would begin before a row that is in the log."""
    async with opened_log(config) as log:
        begin, end = await log.changelog()
        slices = await restored(log, begin, end)

    assert begin == 0
    assert end in (1, 2)  # Kafka responds to a commit before it has written its marker
    assert [written_identity(log)] == [value for slice_ in slices for _, value in slice_.rows]


async def test_a_changelog_deleted_and_made_anew_is_another_one(config: KafkaConfig, tmp_path: Path) -> None:
    """Trap: aiokafka learns no topic ids. The kept file's position lies within the new log, and yet it isn't trusted."""
    open_state = StateFolder(tmp_path, "0", PlainClock())
    async with opened_log(config) as log:
        file = open_state(log.identity, *await log.changelog())
        position = await log.commit([], [("old", b"1")])
        assert position is not None
        file.store.restore([("old", b"1")], position)
        file.close()
    kept = open_state(log.identity, 0, position)
    kept.close()
    await recreate_topic(config, "processor.changelog", 3)
    async with opened_log(config) as anew:
        await anew.commit([], [("new", b"1"), ("more", b"1")])
    async with opened_log(config) as anew:
        begin, end = await anew.changelog()
        file = open_state(anew.identity, begin, end)
        rows = rows_of(await restored(anew, file.store.position, end))
        file.close()

    assert begin <= position <= end
    assert anew.identity != log.identity
    assert ["kept", "fresh"] == [kept.origin, file.origin]
    assert [("new", b"1"), ("more", b"1")] == rows


async def test_a_changelog_without_an_identity_row_is_never_the_same(config: KafkaConfig) -> None:
    """Its beginning was cut off, or it is from before there were such rows: no kept file can be matched with it."""
    async with upstream_producer(config) as producer:
        await producer.send_and_wait(prefixed(config.prefix, "processor.changelog"), b"1", b"a", partition=0)
    async with opened_log(config) as log:
        first, bounds = log.identity, await log.changelog()
    async with opened_log(config) as log:
        assert first != log.identity
        assert (0, 1) == bounds == await log.changelog()


async def test_an_identity_row_that_was_never_committed_does_not_count(config: KafkaConfig) -> None:
    """Trap: aborted batches and markers at the start of a log bring no record; nor does the log end there."""
    changelog = prefixed(config.prefix, "processor.changelog")
    async with upstream_producer(config, f"{config.prefix}processor.0") as died:
        await died.begin_transaction()
        await died.send_and_wait(changelog, b"never", b"identity", partition=0)
        async with opened_log(config) as log:
            identity = log.identity
    async with opened_log(config) as again:
        assert identity == again.identity
        assert (0, 4) == await again.changelog()  # the aborted row and its successor, each with its marker
        assert not identity.endswith("never")


@pytest.mark.parametrize(
    ("row", "error"), [("0a1b", None), ("0a1b 2", None), ("0a1b 3", "format 3, this version reads up to 2")]
)
async def test_identity_rows_of_known_formats_are_read(config: KafkaConfig, row: str, error: str | None) -> None:
    """Format 1 wrote the bare identity. A newer format than ours must not be opened."""
    async with upstream_producer(config) as producer:
        await producer.send_and_wait(
            prefixed(config.prefix, "processor.changelog"), row.encode(), b"identity", partition=0
        )
    log = KafkaLog(config, 0)
    if error is None:
        await log.open()
        assert "0a1b" == log.identity.split(" ")[-1]
    else:
        with pytest.raises(Broken, match=error):
            await log.open()
    await log.close()


async def test_a_log_fenced_while_it_writes_its_identity_learns_it(config: KafkaConfig) -> None:
    log, successor = KafkaLog(config, 0), KafkaLog(config, 0)
    commit = log.commit

    async def commit_late(records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> int | None:
        await successor.open()
        return await commit(records, rows)

    log.commit = commit_late  # type: ignore[method-assign]  # so that another opening comes in between
    with pytest.raises(Fenced):
        await log.open()
    await log.close()
    await successor.close()

    assert [("identity", written_identity(successor))] == [
        (record.key.decode(), record.value) for record in await changelog_of(config)
    ]


async def changelog_of(config: KafkaConfig) -> list[Any]:
    async with Tail(config, ["processor.changelog"], start="start", follow=False) as tail, asyncio.timeout(20):
        return [record async for record in tail]
