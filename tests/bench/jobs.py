"""A job from its request to its end, as a reader of `sync.progress` sees it, and Syncs of the same location meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import orjson

from processor.events.cloudevents import encode
from processor.kafka import KafkaConfig, Tail
from tests.bench.leads import Published
from tests.bench.stage import Failed
from tests.bench.upstream import Upstream

ends: Final = ("sync.completed", "sync.failed", "sync.cancelled")
request_id: Final = "bench-job"  # one job a stage and location
patience_s: Final = 1_800.0
look_every_s: Final = 0.5
pause_s: Final = (0.3, 0.6)  # from one Sync to the next


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of the job, so many seconds after its request's CreateTime in the hands of a `read_committed` reader."""

    after_s: float
    type: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class Course:
    """What was heard of a job, and of the Syncs beside it."""

    heard: list[Heard] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)  # request → its CreateTime, ms
    answered: dict[str, tuple[float, Mapping[str, Any]]] = field(
        default_factory=dict
    )  # request → read at, `sync.answered`

    @property
    def over(self) -> bool:
        return bool(self.heard) and self.heard[-1].type in ends and not self.waiting

    @property
    def waiting(self) -> bool:
        return not self.asked.keys() <= {request_id, *self.answered}

    @property
    def end(self) -> Heard:
        return self.heard[-1]

    def first(self, type: str) -> Heard:
        found = next((one for one in self.heard if one.type == type), None)
        if found is None:
            raise Failed(f"there was no {type}, but {', '.join(one.type for one in self.heard)}")
        return found

    def waits(self) -> list[float]:
        """From a Sync's CreateTime until its answer was read, ms."""
        return [at - self.asked[request] for request, (at, _) in self.answered.items()]


def follow(
    config: KafkaConfig,
    location: str,
    look: Callable[[], object],
    beside: Iterable[Published] = (),
    messages: bool = False,
) -> Course:
    """Ask for a Sync All, and follow it to its end; `look` is called twice a second, in a thread. Of `beside`, Syncs, one is
    published now and then until the job ends, and all are waited for. Raises Failed."""
    return asyncio.run(_follow(config, location, look, beside, messages))


async def _follow(
    config: KafkaConfig, location: str, look: Callable[[], object], beside: Iterable[Published], messages: bool
) -> Course:
    course = Course()
    async with Upstream(config) as upstream, Tail(config, ["sync.progress"]) as tail:
        course.asked[request_id] = await upstream.one("sync.requests", (location, sync_all(location, messages)))
        try:
            async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
                looking = tasks.create_task(_look(look))
                asking = tasks.create_task(_ask(upstream, beside, course))
                await _hear(tail, course, asking)
                looking.cancel()
        except TimeoutError:
            told = course.heard[-1] if course.heard else "nothing at all"
            raise Failed(f"the job isn't over after {patience_s:.0f} s; last heard: {told}") from None
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
    return course


async def _hear(tail: Tail, course: Course, asking: "asyncio.Task[None]") -> None:
    async for record in tail:
        at, event = time.time() * 1_000, orjson.loads(record.value or b"")
        request = event["data"]["request_id"]
        if request == request_id:
            course.heard.append(Heard((at - course.asked[request]) / 1_000, event["type"], event["data"]))
        else:
            course.answered[request] = at, event["data"]
        if course.heard and course.heard[-1].type in ends:
            asking.cancel()
            if not course.waiting:
                return


async def _look(look: Callable[[], object]) -> None:
    while True:
        await asyncio.to_thread(look)
        await asyncio.sleep(look_every_s)


async def _ask(upstream: Upstream, beside: Iterable[Published], course: Course) -> None:
    draw = Random(0)
    for published in beside:
        await asyncio.sleep(draw.uniform(*pause_s))
        request = orjson.loads(published[1])["data"]["request_id"]
        course.asked[request] = await upstream.one("sync.requests", published)


def sync_all(location: str, messages: bool) -> bytes:
    asked = {"request_id": request_id, "location_id": location, "include_messages": messages}
    return _request("sync.location.requested", asked)


def sync(location: str, lead_id: str, number: int, lead: Mapping[str, Any] | None = None) -> Published:
    """A Sync that a person waits for."""
    ids = {"request_id": f"bench-sync-{number}", "location_id": location, "lead_id": lead_id}
    data = {**ids, "include_messages": False}
    return location, _request("sync.lead.requested", {**data, **({"lead": lead} if lead else {})})


def _request(type: str, data: Mapping[str, Any]) -> bytes:
    id, location, when_ms = str(data["request_id"]), str(data["location_id"]), 1_750_000_000_000  # the record's counts
    return encode(type, data, id=id, source="bench", subject=id, location=location, time_ms=when_ms)
