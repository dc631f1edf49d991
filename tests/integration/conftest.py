"""Provide one real Kafka for the whole session. Each test keeps to topics of its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.lab.kafka_node import Broker, kafka


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder as integration tests."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Provide Kafka at `broker.bootstrap`. Tests that stop or kill one start their own: `with node() as mine`."""
    with kafka() as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """Return a KAFKA_TOPIC_PREFIX of the test's own, so that no topic, group or transactional id is shared."""
    return f"test-{uuid4().hex[:12]}."
