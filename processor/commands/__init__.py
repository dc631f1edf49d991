"""What an operator does over Kafka alone: make the topics, sync a lead and wait for its answer, see how all stands.

All of it raises KafkaUnreachable or KafkaRefused when Kafka doesn't answer, or says no.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record, encode
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

Data = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """The data of `sync.lead.requested`."""

    request_id: str
    location_id: str
    lead_id: str
    include_messages: bool = True
    deadline_s: int = 120
    lane: str = "interactive"


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    data: Data  # of `sync.answered`
    after_ms: int


async def make_topics(settings: Settings, partitions: int, replication: int | None = None) -> Mapping[str, str]:
    """Topic → created | exists. Raises WrongSetting rather than add topics of another number of partitions."""
    config = KafkaConfig(**settings.kafka())
    counts = {count for count, _ in (await describe_topics(config)).values()}
    if counts - {partitions}:
        there = " and ".join(map(str, sorted(counts)))
        raise WrongSetting(
            [f"--partitions {partitions}: the topics that are there have {there}, and all must have the same"]
        )
    return await create_topics(config, partitions, replication)


async def publish_sync(settings: Settings, request: SyncRequest) -> None:
    """Ask, and don't wait."""
    value = encode(
        "sync.lead.requested",
        asdict(request),
        id=request.request_id,
        source="hydrant-cli",
        subject=request.request_id,
        location=request.location_id,
        time_ms=time.time_ns() // 1_000_000,
    )
    await publish_record(KafkaConfig(**settings.kafka()), "sync.requests", request.location_id.encode(), value)


async def sync(settings: Settings, request: SyncRequest, within_s: float) -> SyncAnswer | None:
    """Ask, and wait for the answer; None: there was none in time."""
    config = KafkaConfig(**settings.kafka())
    partition = await home_of(config, "sync.progress", request.location_id)
    async with Tail(config, ["sync.progress"], partition=partition) as tail:  # before asking: nothing can be missed
        since = time.monotonic()
        await publish_sync(settings, request)
        try:
            async with asyncio.timeout(within_s):
                async for record in tail:
                    if (data := answer_to(request, record)) is not None:
                        return SyncAnswer(data, int((time.monotonic() - since) * 1000))
        except TimeoutError:
            pass
    return None


async def status(settings: Settings, location: str | None = None) -> list[Data]:
    """The last `location.status` of each location, or of one, as of now."""
    config = KafkaConfig(**settings.kafka())
    partition = None if location is None else await home_of(config, "location.status", location)
    last: dict[bytes | None, bytes] = {}
    try:
        async with Tail(config, ["location.status"], partition=partition, start="start", follow=False) as tail:
            async with asyncio.timeout(silent_at_most_s) as patience:
                async for record in tail:
                    patience.reschedule(asyncio.get_running_loop().time() + silent_at_most_s)
                    if record.value is None:
                        last.pop(record.key, None)
                    elif location is None or record.key == location.encode():
                        last[record.key] = record.value
    except TimeoutError:
        raise KafkaUnreachable(f"no answer from {config.bootstrap} for {silent_at_most_s} s") from None
    found = [data for value in last.values() if (data := data_of("location.status", value)) is not None]
    return sorted(found, key=lambda data: str(data.get("location_id")))


async def home_of(config: KafkaConfig, topic: str, location: str) -> int:
    return home(location, await partitions_of(config, topic))


async def partitions_of(config: KafkaConfig, topic: str) -> int:
    described = await describe_topics(config)
    if topic not in described:
        raise KafkaRefused(f"there is no topic {config.prefix}{topic}: `hydrant topics create` makes it")
    return described[topic][0]


def answer_to(request: SyncRequest, record: Record) -> Data | None:
    """The data of the request's `sync.answered`. It is known by location, lead and request id."""
    if record.value is None or request.request_id.encode() not in record.value:
        return None
    data = data_of("sync.answered", record.value)
    ids = ("request_id", "location_id", "lead_id")
    return data if data is not None and all(data.get(name) == getattr(request, name) for name in ids) else None


def data_of(kind: str, value: bytes) -> Data | None:
    """An event's data, if it is one of this type; other types and fields of newer versions are no fault."""
    said, data = said_in(value) or ("", {})
    return data if said == kind else None


def said_in(value: bytes) -> tuple[str, dict[str, Any]] | None:
    """An event's type and data, if it is one."""
    try:
        event = orjson.loads(value)
    except ValueError:
        return None
    kind, data = (event.get("type"), event.get("data")) if isinstance(event, dict) else (None, None)
    return (kind, data) if isinstance(kind, str) and isinstance(data, dict) else None
