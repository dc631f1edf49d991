"""What a turn writes, as batches of one transaction."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from processor.shard.state import Out
from processor.topics import prefixed

changelog: Final = "processor.changelog"
batch_bytes: Final = 1024 * 1024  # trap: a batch is limited, so a large turn is split; a larger record goes alone


def filled(
    producer: Any, prefix: str, partition: int, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]
) -> list[tuple[tuple[str, int], Any]]:
    """One a topic and partition (trap: a send a record costs ten times as much), more where it is full; rows last."""
    batches: list[tuple[tuple[str, int], Any]] = []
    filling: dict[tuple[str, int], Any] = {}
    for topic, to, key, value, headers, timestamp_ms in entries(partition, records, rows):
        at = prefixed(prefix, topic), to
        entry = {"key": key, "value": value, "headers": headers, "timestamp": timestamp_ms}
        if at not in filling or filling[at].append(**entry) is None:
            filling[at] = producer.create_batch()
            filling[at].append(**entry)  # the first one fits, whatever its size
            batches.append((at, filling[at]))
    return batches


def entries(
    partition: int, records: Sequence[Out], rows: Sequence[tuple[str, bytes | None]]
) -> Iterator[tuple[str, int, bytes, bytes | None, list[tuple[str, bytes]], int | None]]:
    for out in records:
        to = partition if out.partition is None else out.partition
        yield out.topic, to, out.key, out.value, list(out.headers), out.timestamp_ms
    for key, value in rows:
        yield changelog, partition, key.encode(), value, [], None
