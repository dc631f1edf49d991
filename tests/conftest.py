"""One real Kafka for the whole test session; each test keeps to topics of its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:  # unit tests needn't wait for the import
    from tests.lab.kafka_node import Broker


@pytest.fixture(scope="session")
def broker() -> "Iterator[Broker]":
    """Yield the session's broker. A test that stops or kills a broker starts its own: `with node() as own`."""
    from tests.lab.kafka_node import kafka

    with kafka() as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """Return a KAFKA_TOPIC_PREFIX: tests share the broker and never a topic, a group or a transactional id."""
    return f"test-{uuid4().hex[:12]}."
