"""Where Kafka is, and as whom we use it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

request_timeout_ms: Final = 10_000


@dataclass(frozen=True)
class KafkaConfig:
    bootstrap: str  # host:port, several with commas between
    security: Mapping[str, object] = field(default_factory=dict, repr=False)  # aiokafka's arguments, secrets too
    prefix: str = ""  # of topics and transactional ids
    group_id: str = "hydrant"
    group_instance_id: str | None = None  # static membership
