"""The table of topics, and Kafka's default partitioner."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, strategies

from processor.events.contract import EVENTS
from processor.topics import DEFAULT_PARTITIONS, INPUT_TOPICS, TOPICS, home, mismatches, murmur2, prefixed

valid = {topic.name: (DEFAULT_PARTITIONS, topic.cleanup) for topic in TOPICS.values()}


@given(strategies.text(min_size=1, max_size=128), strategies.integers(1, 100))
def test_a_locations_home_is_where_any_kafka_producer_sends_its_key(location: str, partitions: int) -> None:
    expected = DefaultPartitioner()(location.encode(), list(range(partitions)), [])

    assert home(location, partitions) == expected


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, hashed: int) -> None:
    """Kafka's own test, `UtilsTest.testMurmur2`, has these values."""
    assert murmur2(key) == hashed % 2**32


def test_every_event_of_the_contract_has_one_topic() -> None:
    placed = [kind for topic in TOPICS.values() for kind in topic.events]

    assert sorted(placed) == sorted(EVENTS)


def test_inputs_are_what_upstream_and_the_gateway_write() -> None:
    assert INPUT_TOPICS == ("lead.changes", "sync.requests", "contact.events")


def test_the_changelog_keeps_tombstones_for_twice_the_age_of_a_state_file() -> None:
    assert TOPICS["processor.changelog"].configs == {
        "cleanup.policy": "compact",
        "max.message.bytes": "2097152",
        "message.timestamp.type": "CreateTime",
        "segment.ms": "86400000",
        "max.compaction.lag.ms": "86400000",
        "delete.retention.ms": "1209600000",
    }


def test_a_deleted_lead_is_out_of_every_topic_within_15_days() -> None:
    """Retention counts from the close of a segment, a day at most; the broker checks every few minutes."""
    longest = max(int(topic.configs.get("retention.ms", 0)) for topic in TOPICS.values())

    assert longest + 86_400_000 < 15 * 86_400_000


def test_valid_topics_have_no_mismatches() -> None:
    assert mismatches(valid | {"other.topic": (3, "delete")}) == []


def test_a_prefix_goes_before_every_name() -> None:
    described = {prefixed("staging.", name): details for name, details in valid.items()}

    assert mismatches(described, "staging.") == []
    assert mismatches(valid, "staging.") == [f"staging.{name}: missing" for name in TOPICS]


def test_each_mismatch_is_reported() -> None:
    described = valid | {"sync.requests": (6, "delete"), "location.status": (12, "compact,delete")}
    del described["dead.letters"]

    assert mismatches(described) == [
        "location.status: cleanup.policy is compact,delete, not compact",
        "dead.letters: missing",
        "sync.requests: 6 partitions, but lead.changes has 12",
    ]
