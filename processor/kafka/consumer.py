"""A consumer as all of ours are."""

from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from processor.kafka.config import KafkaConfig, request_timeout_ms

fetch_bytes: Final = 1024 * 1024  # at a time and topic: bounded memory; a larger record comes all the same (KIP-74)


def make_consumer(config: KafkaConfig, **more: object) -> Any:
    """Trap: aiokafka's defaults read what was aborted, skip what is new, commit by themselves and reset silently."""
    settings: dict[str, object] = {
        "group_id": None,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "fetch_max_bytes": fetch_bytes,
        "max_partition_fetch_bytes": fetch_bytes,
        "request_timeout_ms": request_timeout_ms,
    }
    return AIOKafkaConsumer(bootstrap_servers=config.bootstrap, **config.security, **settings | more)
