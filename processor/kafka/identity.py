"""Which log it is. Trap: aiokafka learns no topic ids, so a topic that was deleted and made anew looks like the old,
and a state file would be trusted where its position happens to lie within the new log. So each partition of the
changelog begins with a row that says who it is."""

from typing import Any, Final
from uuid import uuid4

key: Final = "identity"  # written once, so compaction keeps it; restored like any other row, where it harms nobody


def fresh() -> str:
    return uuid4().hex


def told_by(record: Any) -> str:
    """What the first record of the changelog says."""
    if record.key == key.encode() and record.value:
        return str(record.value.decode())
    # Someone cut the log's beginning off, or it is from before there were such rows: nobody can tell whether a kept
    # file reflects this log. Another name each time, so that none is trusted: slow, but right.
    return fresh()
