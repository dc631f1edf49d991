"""Kafka, and the only rooms that import aiokafka. Its traps are named where they are avoided ("trap:").

`config` where it is · `partition` one partition's side of it, the runner's `Log`: `leader` and `identity` how far its
log goes and which it is, `inputs` what it reads, `batches` what it writes · `member` a member of the group, for
`membership.py`: `instance` where it is a static one · `tail`, `publisher`, `topics` for commands, start-up and tests ·
`consumer`, `stopping`, `refusals`, `quiet` how all of them read, end, fail and log. (What comes from aiokafka is Any.)
"""

from processor.kafka.config import KafkaConfig
from processor.kafka.member import Heard, Intervals, join, monotonic_ms, watch_heartbeats
from processor.kafka.partition import KafkaLog
from processor.kafka.publisher import Publisher, publish
from processor.kafka.quiet import hush
from processor.kafka.refusals import Refused, Replaced, Unreachable
from processor.kafka.tail import Tail
from processor.kafka.topics import administrating, create_topics, describe_topics

__all__ = [
    "Heard",
    "Intervals",
    "KafkaConfig",
    "KafkaLog",
    "Publisher",
    "Refused",
    "Replaced",
    "Tail",
    "Unreachable",
    "administrating",
    "create_topics",
    "describe_topics",
    "join",
    "monotonic_ms",
    "publish",
    "watch_heartbeats",
]

hush()  # on import, so that nobody who uses Kafka can forget it
