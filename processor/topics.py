"""Define the topics (DESIGN §2) and where a location's events live. All have the same number of partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

DEFAULT_PARTITIONS: Final = 12  # final once created: growing it would split a location's budget between two owners

Cleanup = Literal["delete", "compact"]
Role = Literal["input", "output", "internal"]

_day_ms: Final = 86_400_000
message_max_bytes: Final = 2 * 1024 * 1024  # twice the largest value that is read, so that any can be dead-lettered


@dataclass(frozen=True, slots=True)
class Topic:
    name: str  # without prefix
    role: Role
    cleanup: Cleanup
    events: tuple[str, ...] = ()  # empty: its values are no events
    retention_ms: int = 7 * _day_ms  # of cleanup `delete`
    compaction: tuple[tuple[str, str], ...] = ()  # further configs of cleanup `compact`

    @property
    def configs(self) -> dict[str, str]:
        """Return the topic's configs as Kafka takes them."""
        always = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(message_max_bytes),
            "message.timestamp.type": "CreateTime",  # a deadline counts from it, and forwarding to home keeps it
            "segment.ms": str(_day_ms),  # only closed segments are deleted or compacted
        }
        return always | (
            {"retention.ms": str(self.retention_ms)} if self.cleanup == "delete" else dict(self.compaction)
        )


TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic
    for topic in (
        Topic("lead.changes", "input", "delete", ("lead.changed", "lead.deleted")),
        Topic(
            "sync.requests",
            "input",
            "delete",
            ("sync.lead.requested", "sync.location.requested", "sync.backfill.requested", "sync.cancel.requested"),
        ),
        Topic("contact.events", "input", "delete", ("contact.changed", "contact.deleted", "message.added")),
        Topic("lead.updates", "output", "delete", ("lead.synced",)),
        Topic("lead.messages", "output", "delete", ("lead.message.imported",)),
        Topic(
            "sync.progress",
            "output",
            "delete",
            (
                "sync.answered",
                "sync.started",
                "sync.progressed",
                "sync.paused",
                "sync.completed",
                "sync.failed",
                "sync.cancelled",
            ),
        ),
        Topic("location.status", "output", "compact", ("location.status",)),
        Topic("dead.letters", "output", "delete", retention_ms=13 * _day_ms),
        Topic(
            "processor.changelog",
            "internal",
            "compact",
            compaction=(
                ("max.compaction.lag.ms", str(_day_ms)),  # a deleted lead leaves the log a day later
                ("delete.retention.ms", str(14 * _day_ms)),  # twice a state file's age, so it has missed no tombstone
            ),
        ),
    )
}

INPUT_TOPICS: Final = tuple(topic.name for topic in TOPICS.values() if topic.role == "input")


def prefixed(prefix: str, name: str) -> str:
    """Return the topic's full name on the broker."""
    return prefix + name


@lru_cache(maxsize=16_384)  # murmur2 of 20 characters costs 2.3 µs in Python, a hit 0.1
def home(location_id: str, partitions: int) -> int:
    """Return the partition of all events of a location: Kafka's default partitioner over the id as UTF-8."""
    return (murmur2(location_id.encode()) & 0x7FFF_FFFF) % partitions


def murmur2(key: bytes) -> int:
    """Return Kafka's 32-bit MurmurHash2 (`org.apache.kafka.common.utils.Utils.murmur2`) as an unsigned number."""
    mix, mask = 0x5BD1_E995, 0xFFFF_FFFF
    hashed = 0x9747_B28C ^ len(key)
    whole = len(key) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little") * mix & mask
        hashed = (hashed * mix & mask) ^ ((word ^ word >> 24) * mix & mask)
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * mix & mask
    hashed = (hashed ^ hashed >> 13) * mix & mask
    return hashed ^ hashed >> 15


def mismatches(described: Mapping[str, tuple[int, str]], prefix: str = "") -> list[str]:
    """Return a sentence for each reason why no worker can start on these topics.

    `described` maps a full name to the number of partitions and `cleanup.policy`. Topics outside the table are ignored.
    """
    problems = []
    counts: dict[str, int] = {}
    for topic in TOPICS.values():
        name = prefixed(prefix, topic.name)
        if name not in described:
            problems.append(f"{name}: missing")
            continue
        counts[name], cleanup = described[name]
        if {policy.strip() for policy in cleanup.split(",")} != {topic.cleanup}:
            problems.append(f"{name}: cleanup.policy is {cleanup}, not {topic.cleanup}")
    first = next(iter(counts), None)
    if first is not None:
        problems += [
            f"{name}: {count} partitions, but {first} has {counts[first]}"
            for name, count in counts.items()
            if count != counts[first]
        ]
    return problems
