"""The changelog's bounds and identity. The leader is asked on a producer's connection: a long poll may block a consumer's.

Trap: aiokafka learns no topic ids, so a topic that was deleted and made anew looks like the old one, and a state file
would be trusted where its position happens to lie within the new log. So each partition of the changelog begins with a
row that names this log and its format.
"""

import asyncio
from typing import Any, Final
from uuid import uuid4

from aiokafka import errors
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

from processor.engine.ports import Broken
from processor.shard.documents.format import FORMAT

changelog_topic: Final = "processor.changelog"
identity_key: Final = "identity"  # written once, so compaction keeps it; restored like any other row, and never read
latest: Final = -1  # ListOffsets, as the protocol spells it
earliest: Final = -2
read_uncommitted: Final = 0
read_committed: Final = 1
_wait_ms: Final = 100  # for records beyond an open transaction
_fetch_at_most: Final = 4_096  # bytes; the first batch comes whatever its size (KIP-74)


def new_identity() -> str:
    return uuid4().hex


def identity_row(identity: str) -> tuple[str, bytes]:
    """Return the row that a changelog of today's format begins with."""
    return identity_key, f"{identity} {FORMAT}".encode()


def read_identity(record: Any) -> str:
    """Return the identity that the changelog's first record names. Raises Broken when its format is newer than ours."""
    if record.key == identity_key.encode() and record.value:
        name, _, written_format = record.value.decode().partition(" ")  # format 1 has the name alone
        if int(written_format or 1) > FORMAT:
            raise Broken(f"the changelog has format {written_format}, this version reads up to {FORMAT}")
        return str(name)
    # Its beginning was cut off, or it is older than such rows: a kept file can't be matched with this log.
    # A new identity each time keeps all files from being trusted: slow, but right.
    return new_identity()


async def log_offset(client: Any, at: Any, which: int, isolation: int) -> int:
    """Return the log's first or next offset as of now. The caller bounds the time."""
    _, found = await _ask_leader(client, at, OffsetRequest(-1, isolation, [(at.topic, [(at.partition, which)])]))
    return int(found)


async def first_record(client: Any, at: Any, position: int, end: int) -> Any | None:
    """Return the first committed record of [position, end), or None. The caller bounds the time."""
    while position < end:
        wanted = [(at.topic, [(at.partition, position, _fetch_at_most)])]
        fetched = await _ask_leader(client, at, FetchRequest(_wait_ms, 1, _fetch_at_most, read_committed, wanted))
        aborted = fetched[-3] if len(fetched) > 5 else fetched[-2]  # since v11 a preferred replica comes between
        records = PartitionRecords(
            at,
            MemoryRecords(fetched[-1]),
            aborted,
            position,
            None,
            None,
            check_crcs=False,
            isolation_level=read_committed,
        )
        for record in records:
            return record
        position = records.next_fetch_offset  # trap: control and aborted batches bring no record, but are passed
    return None


async def _ask_leader(client: Any, at: Any, request: Any) -> list[Any]:
    """Return the fields after the error code of the leader's response, for one topic and partition."""
    while True:
        try:
            leader = client.cluster.leader_for_partition(at)
            if leader is None or leader < 0:
                raise errors.LeaderNotAvailableError
            ((_, ((_, code, *fields),)),) = (await client.send(leader, request)).topics
            if not code:
                return list(fields)
            raise errors.for_code(code)
        except errors.KafkaError as error:
            if not error.retriable:
                raise
        await client.force_metadata_update()  # the leader moved
        await asyncio.sleep(0.1)
