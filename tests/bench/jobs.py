"""Follow a job from its request to its end as a reader of `sync.progress`, and ask for Syncs of its location meanwhile."""

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
from tests.bench.testbed import BenchFailed
from tests.bench.upstream import Upstream

ends: Final = ("sync.completed", "sync.failed", "sync.cancelled")
request_id: Final = "bench-job"  # one job a testbed and location
patience_s: Final = 1_800.0
look_every_s: Final = 0.5
pause_s: Final = (0.3, 0.6)  # from one Sync to the next


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Hold an event of the job. A `read_committed` reader had it so many seconds after the request's CreateTime."""

    after_s: float
    type: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class JobHistory:
    """Hold the events of a job, and of the Syncs beside it."""

    events: list[JobEvent] = field(default_factory=list)
    requested: dict[str, int] = field(default_factory=dict)  # request → its CreateTime, ms
    answered: dict[str, tuple[float, Mapping[str, Any]]] = field(
        default_factory=dict
    )  # request → read at, `sync.answered`

    @property
    def over(self) -> bool:
        return bool(self.events) and self.events[-1].type in ends and not self.waiting

    @property
    def waiting(self) -> bool:
        return not self.requested.keys() <= {request_id, *self.answered}

    @property
    def end(self) -> JobEvent:
        return self.events[-1]

    def first(self, type: str) -> JobEvent:
        found = next((one for one in self.events if one.type == type), None)
        if found is None:
            raise BenchFailed(f"there was no {type}, but {', '.join(one.type for one in self.events)}")
        return found

    def waits(self) -> list[float]:
        """Return how long each Sync took from its CreateTime until its answer was read, ms."""
        return [at - self.requested[request] for request, (at, _) in self.answered.items()]


def follow(
    config: KafkaConfig,
    location: str,
    look: Callable[[], object],
    beside: Iterable[Published] = (),
    messages: bool = False,
) -> JobHistory:
    """Ask for a Sync All and follow it to its end. Raise BenchFailed.

    Call `look` twice a second, in a thread. Publish a Sync of `beside` now and then until the job ends, and wait for their
    answers.
    """
    return asyncio.run(_follow(config, location, look, beside, messages))


async def _follow(
    config: KafkaConfig, location: str, look: Callable[[], object], beside: Iterable[Published], messages: bool
) -> JobHistory:
    job = JobHistory()
    async with Upstream(config) as upstream, Tail(config, ["sync.progress"]) as tail:
        job.requested[request_id] = await upstream.publish_one(
            "sync.requests", (location, sync_all(location, messages))
        )
        try:
            async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
                looking = tasks.create_task(_look(look))
                publishing = tasks.create_task(_publish_syncs(upstream, beside, job))
                await _read(tail, job, publishing)
                looking.cancel()
        except TimeoutError:
            last = job.events[-1] if job.events else "nothing at all"
            raise BenchFailed(f"the job isn't over after {patience_s:.0f} s; last event: {last}") from None
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
    return job


async def _read(tail: Tail, job: JobHistory, publishing: "asyncio.Task[None]") -> None:
    async for record in tail:
        at, event = time.time() * 1_000, orjson.loads(record.value or b"")
        request = event["data"]["request_id"]
        if request == request_id:
            job.events.append(JobEvent((at - job.requested[request]) / 1_000, event["type"], event["data"]))
        else:
            job.answered[request] = at, event["data"]
        if job.events and job.events[-1].type in ends:
            publishing.cancel()
            if not job.waiting:
                return


async def _look(look: Callable[[], object]) -> None:
    while True:
        await asyncio.to_thread(look)
        await asyncio.sleep(look_every_s)


async def _publish_syncs(upstream: Upstream, beside: Iterable[Published], job: JobHistory) -> None:
    draw = Random(0)
    for published in beside:
        await asyncio.sleep(draw.uniform(*pause_s))
        request = orjson.loads(published[1])["data"]["request_id"]
        job.requested[request] = await upstream.publish_one("sync.requests", published)


def sync_all(location: str, messages: bool) -> bytes:
    data = {"request_id": request_id, "location_id": location, "include_messages": messages}
    return _request("sync.location.requested", data)


def sync(location: str, lead_id: str, number: int, lead: Mapping[str, Any] | None = None) -> Published:
    """Return a Sync that a person waits for."""
    ids = {"request_id": f"bench-sync-{number}", "location_id": location, "lead_id": lead_id}
    data = {**ids, "include_messages": False}
    return location, _request("sync.lead.requested", {**data, **({"lead": lead} if lead else {})})


def _request(type: str, data: Mapping[str, Any]) -> bytes:
    id, location, when_ms = str(data["request_id"]), str(data["location_id"]), 1_750_000_000_000  # the record's counts
    return encode(type, data, id=id, source="bench", subject=id, location=location, time_ms=when_ms)
