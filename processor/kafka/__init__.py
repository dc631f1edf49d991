"""Kafka is faced here alone: no other room imports aiokafka. Its traps are named where they are avoided ("trap:").

The walk: `connection` makes and stops clients · `partition_log` is one partition's side of Kafka, the
runner's `Log`: it reads inputs through `topic_reader`, writes through `producers`, and asks `changelog` for the log's
bounds and identity · `group_member` joins the consumer group for `engine/membership.py`, with `static_member` where an
instance id is set · `tail`, `producers` and `topic_admin` serve commands, start-up and tests · `errors` names failures
and silences aiokafka. Values that come from aiokafka are `Any`: it ships no types.
"""

from processor.kafka.connection import KafkaConfig
from processor.kafka.errors import KafkaRefused, KafkaUnreachable, silence_aiokafka
from processor.kafka.group_member import join_group
from processor.kafka.partition_log import KafkaLog
from processor.kafka.producers import Publisher, publish_record
from processor.kafka.tail import Tail
from processor.kafka.topic_admin import admin_client, create_topics, describe_topics

__all__ = [
    "KafkaConfig",
    "KafkaLog",
    "KafkaRefused",
    "KafkaUnreachable",
    "Publisher",
    "Tail",
    "admin_client",
    "create_topics",
    "describe_topics",
    "join_group",
    "publish_record",
]

silence_aiokafka()  # on import, so that no user of Kafka can forget it
