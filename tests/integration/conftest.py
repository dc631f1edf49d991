"""One real Kafka for the whole session; each test keeps to topics of its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.lab.kafka_node import Broker, kafka


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder as an integration test."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Yield the session's broker. A test that stops or kills a broker starts its own: `with node() as own`."""
    with kafka() as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """Return a KAFKA_TOPIC_PREFIX: tests share the broker and never a topic, a group or a transactional id."""
    return f"test-{uuid4().hex[:12]}."
