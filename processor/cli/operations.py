"""Create topics, publish requests, wait for a Sync's answer and read statuses, over Kafka alone.

Each operation raises KafkaUnreachable when Kafka doesn't respond, and KafkaRefused when it refuses.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record, encode
from processor.events.contract import (
    EVENTS,
    SyncBackfillRequested,
    SyncCancelRequested,
    SyncLeadRequested,
    SyncLocationRequested,
)
from processor.kafka import (
    KafkaConfig,
    KafkaRefused,
    KafkaUnreachable,
    Tail,
    create_topics,
    describe_topics,
    publish_record,
)
from processor.settings import Settings, WrongSetting
from processor.topics import home

silent_at_most_s: Final = 30  # no record and no end: the broker is gone

EventData = dict[str, Any]  # an event's data, as parsed from JSON: another version may leave out or add fields
JobRequest = SyncLocationRequested | SyncBackfillRequested
OperatorRequest = SyncLeadRequested | JobRequest | SyncCancelRequested


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    data: EventData  # of `sync.answered`
    after_ms: int


def now_ms() -> int:
    """Return the wall clock's time in ms since 1970."""
    return time.time_ns() // 1_000_000


async def make_topics(settings: Settings, partitions: int, replication: int | None = None) -> Mapping[str, str]:
    """Return topic → created | exists. Raises WrongSetting if existing topics have another number of partitions."""
    config = KafkaConfig(**settings.kafka())
    counts = {count for count, _ in (await describe_topics(config)).values()}
    if counts - {partitions}:
        existing = " and ".join(map(str, sorted(counts)))
        raise WrongSetting([f"--partitions {partitions}: the existing topics have {existing}, and all must be equal"])
    return await create_topics(config, partitions, replication)


def requested_location(request: OperatorRequest) -> str | None:
    """Return the location that a request names. A backfill's request and its cancel name none."""
    return None if isinstance(request, SyncBackfillRequested) else request.location_id


async def publish_request(settings: Settings, request: OperatorRequest) -> None:
    """Publish a request, keyed by its location or else by its own id."""
    key = requested_location(request) or request.request_id
    event_id, time_ms = request.request_id, now_ms()
    if isinstance(request, SyncCancelRequested):
        event_id = f"{event_id} cancel {time_ms}"  # the request id is the job's; each cancel is an event of its own
    value = encode(
        next(kind for kind, model in EVENTS.items() if model is type(request)),
        request.model_dump(mode="json", exclude_none=True),
        id=event_id,
        source="hydrant-cli",
        subject=request.request_id,
        location=key,
        time_ms=time_ms,
    )
    await publish_record(KafkaConfig(**settings.kafka()), "sync.requests", key.encode(), value)


async def sync_lead(settings: Settings, request: SyncLeadRequested, within_s: float) -> SyncAnswer | None:
    """Publish the request and return its answer, or None if none came in time."""
    config = KafkaConfig(**settings.kafka())
    partition = await home_partition(config, "sync.progress", request.location_id)
    async with Tail(config, ["sync.progress"], partition=partition) as tail:  # first, so that no answer is missed
        published = time.monotonic()
        await publish_request(settings, request)
        try:
            async with asyncio.timeout(within_s):
                async for record in tail:
                    if (data := _answer_to(request, record)) is not None:
                        return SyncAnswer(data, int((time.monotonic() - published) * 1_000))
        except TimeoutError:
            pass
    return None


def _answer_to(request: SyncLeadRequested, record: Record) -> EventData | None:
    """Return the data of the record if it is the request's answer, known by location, lead and request id."""
    kind, data = type_and_data(record.value)
    ids = ("request_id", "location_id", "lead_id")
    matches = kind == "sync.answered" and all(data.get(name) == getattr(request, name) for name in ids)
    return data if matches else None


async def read_statuses(settings: Settings, location: str | None = None) -> list[EventData]:
    """Return the latest `location.status` of every location, or only of the given one."""
    config = KafkaConfig(**settings.kafka())
    partition = None if location is None else await home_partition(config, "location.status", location)
    latest: dict[bytes | None, bytes | None] = {}
    try:
        async with Tail(config, ["location.status"], partition=partition, start="start", follow=False) as tail:
            async with asyncio.timeout(silent_at_most_s) as patience:
                async for record in tail:
                    patience.reschedule(asyncio.get_running_loop().time() + silent_at_most_s)
                    if location is None or record.key == location.encode():
                        latest[record.key] = record.value  # a tombstone is no event and drops out below
    except TimeoutError:
        raise KafkaUnreachable(f"no response from {config.bootstrap} for {silent_at_most_s} s") from None
    events = (type_and_data(value) for value in latest.values())
    statuses = [data for kind, data in events if kind == "location.status"]
    return sorted(statuses, key=lambda data: str(data.get("location_id")))


async def home_partition(config: KafkaConfig, topic: str, location: str) -> int:
    """Return the partition of the topic that holds the location's events."""
    return home(location, await partitions_of(config, topic))


async def partitions_of(config: KafkaConfig, topic: str) -> int:
    """Return the topic's number of partitions. Raises KafkaRefused if the topic doesn't exist."""
    described = await describe_topics(config)
    if topic not in described:
        raise KafkaRefused(f"there is no topic {config.prefix}{topic}: `hydrant topics create` makes it")
    return described[topic][0]


def type_and_data(value: bytes | None) -> tuple[str, EventData]:
    """Return an event's type and data, both empty if the value is no event. Unknown types and fields are no fault."""
    try:
        event = orjson.loads(value or b"")
    except ValueError:
        return "", {}
    kind, data = (event.get("type"), event.get("data")) if isinstance(event, dict) else (None, None)
    return (kind, data) if isinstance(kind, str) and isinstance(data, dict) else ("", {})
