"""One real Kafka for the whole session; each test keeps to topics of its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.lab.kafka_node import Broker, kafka


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies here is an integration test, marked or not."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """`broker.bootstrap` says where it is. Tests that stop or kill one start their own: `with node() as mine`."""
    with kafka() as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """For KAFKA_TOPIC_PREFIX: tests share the broker and never a topic, a group or a transactional id."""
    return f"test-{uuid4().hex[:12]}."
