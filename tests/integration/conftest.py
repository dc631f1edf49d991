"""Everything in this folder needs the real Kafka of `tests/conftest.py`."""

from pathlib import Path

import pytest

from processor.kafka import KafkaConfig, create_topics
from tests.lab.kafka_node import Broker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder as an integration test."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture
async def config(broker: Broker, topic_prefix: str) -> KafkaConfig:
    """Return the way to topics of three partitions each."""
    made = KafkaConfig(broker.bootstrap, prefix=topic_prefix)
    await create_topics(made, 3, 1)
    return made
