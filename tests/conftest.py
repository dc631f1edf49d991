"""One real Kafka for the whole test session; each test keeps to topics of its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # unit tests needn't wait for the import
    from tests.lab.kafka_node import Broker

# the first text that Hypothesis draws builds a table of all characters: seconds where its cache is empty
settings.register_profile("cold cache", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cold cache")


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
