"""What a partition's leader says of its log. Asked on a producer's connection: a long poll may hold a consumer's."""

import asyncio
from typing import Any, Final

from aiokafka import errors
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

latest: Final = -1  # ListOffsets, as the protocol spells it
earliest: Final = -2
read_uncommitted: Final = 0
read_committed: Final = 1
wait_ms: Final = 100  # for what lies beyond an open transaction
a_bit_bytes: Final = 4_096  # the first batch comes whatever its size (KIP-74)


async def offset(client: Any, at: Any, which: int, isolation: int) -> int:
    """Where the log begins or ends as of now. Bounded by the caller."""
    _, found = await ask(client, at, OffsetRequest(-1, isolation, [(at.topic, [(at.partition, which)])]))
    return int(found)


async def first_record(client: Any, at: Any, position: int, end: int) -> Any | None:
    """The first committed record of [position, end), None where there is none. Bounded by the caller."""
    while position < end:
        wanted = [(at.topic, [(at.partition, position, a_bit_bytes)])]
        answer = await ask(client, at, FetchRequest(wait_ms, 1, a_bit_bytes, read_committed, wanted))
        aborted = answer[-3] if len(answer) > 5 else answer[-2]  # since v11 a preferred replica comes between
        records = PartitionRecords(
            at,
            MemoryRecords(answer[-1]),
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


async def ask(client: Any, at: Any, request: Any) -> list[Any]:
    """What the leader answers after its error code, for one topic and partition."""
    while True:
        try:
            leader = client.cluster.leader_for_partition(at)
            if leader is None or leader < 0:
                raise errors.LeaderNotAvailableError
            ((_, ((_, code, *answer),)),) = (await client.send(leader, request)).topics
            if not code:
                return list(answer)
            raise errors.for_code(code)
        except errors.KafkaError as error:
            if not error.retriable:
                raise
        await client.force_metadata_update()  # the leader moved
        await asyncio.sleep(0.1)
