"""The run itself: the script is published at an even pace, halfway a worker is killed, and what comes out is heard and shown."""

import asyncio
import time
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from processor.kafka import Publisher
from processor.shard.store import OutRecord
from processor.topics import DEFAULT_PARTITIONS, home
from tests.lab.demo.kill import Kill, kill_one
from tests.lab.demo.progress import JobNow, Progress
from tests.lab.demo.report import due
from tests.lab.demo.seen import Record, Seen
from tests.lab.demo.stage import HighLevel, Worker
from tests.lab.demo.sync_all import SyncAll
from tests.lab.demo.truth import Message
from tests.lab.demo.view import Running, View
from tests.lab.demo.world import World

events_per_s: Final = 800  # so that there is something to watch
publishing_at_least_s: Final = 3.0
settle_s: Final = 3.0  # after the last thing that must come, so that whatever is superfluous shows
load_at_once: Final = 500  # leads that are brought in by one publication
ask_for_all_after_s: Final = 1.0  # while changes flow
show_every_s: Final = 0.25
report_every_s: Final = 1.0


@dataclass(slots=True)
class Run:
    """How far the demo has come. Times are monotonic, s."""

    truth: World
    since: float
    seen: Seen = field(default_factory=Seen)
    report: Mapping[str, Any] = field(default_factory=dict)  # the simulator's last one
    published: int = 0
    pressed: dict[str, float] = field(default_factory=dict)  # request id → when
    kill: Kill = field(default_factory=Kill)
    asked_at: float | None = None  # when the Sync All was asked for

    @property
    def job_s(self) -> float | None:
        """From asking for the Sync All to its end in the topic."""
        ends = [one.seen_at for one in self.seen.told if one.is_end]
        return ends[0] - self.asked_at if ends and self.asked_at is not None else None

    @property
    def job_disturbed(self) -> bool:
        """Whether a worker was dead at some moment of it; it may have been the other one."""
        return self.asked_at is not None and self.kill.disturbs(self.asked_at, self.asked_at + (self.job_s or 0))

    @property
    def latencies_ms(self) -> list[float]:
        """From pressing Sync to the answer in the topic, ascending; without leads that must be waited for."""
        return self._latencies_ms(disturbed=False)

    @property
    def disturbed_ms(self) -> list[float]:
        """The same of Syncs that waited while one of the workers was dead, whether or not the lead was its own."""
        return self._latencies_ms(disturbed=True)

    def _latencies_ms(self, disturbed: bool) -> list[float]:
        quick = {sync.request_id for sync in self.truth.syncs if not sync.waits} & self.pressed.keys()
        told = {answer.request_id: answer.seen_at for answer in reversed(self.seen.answers)}  # the first answer counts
        waits = ((self.pressed[request], told[request]) for request in quick & told.keys())
        return sorted((end - begin) * 1_000 for begin, end in waits if disturbed == self.kill.disturbs(begin, end))


async def perform(
    view: View,
    run: Run,
    upstream: Publisher,
    highlevel: HighLevel,
    workers: Sequence[Worker],
    records: AsyncIterable[Record],
    over: float,
) -> bool:
    """Publish, kill a worker, and watch what comes out. Whether all that must come came before `over`."""
    tasks: list[asyncio.Task[None]] = []
    try:
        with view.running() as running:
            publishing = asyncio.create_task(publish(run, upstream, highlevel), name="publish")
            killing = asyncio.create_task(kill(run, view, workers), name="kill")
            tasks += [publishing, killing]
            tasks.append(asyncio.create_task(ask_for_all(run, upstream), name="ask for all"))
            tasks.append(asyncio.create_task(read(run, records), name="read"))
            tasks.append(asyncio.create_task(look(run, highlevel), name="look"))
            return await watch(run, running, publishing, killing, tasks, over)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def watch(
    run: Run,
    running: Running,
    publishing: "asyncio.Task[None]",
    killing: "asyncio.Task[None]",
    tasks: "Sequence[asyncio.Task[None]]",
    over: float,
) -> bool:
    wanted = due(run.truth)
    patient = {f"event {cause}" for case in run.truth.cases if case.kind.startswith("young") for cause in case.causes}
    complete_since: float | None = None
    while (now := time.monotonic()) < over:
        for task in tasks:
            if task.done():
                task.result()  # raises what went wrong
        left = wanted - run.seen.met
        if not publishing.done():
            doing = "publishing"
        elif left:
            doing = f"{len(left):,} still to come" + (
                ": new leads, looked for again after a minute" if left <= patient else ""
            )
        elif not killing.done():
            doing = "all has come but the new worker"
        else:
            doing = "all has come; anything superfluous?"
            complete_since = complete_since or now
            if now > complete_since + settle_s:
                return True
        running.show(progress(run, len(left), doing))
        await asyncio.sleep(show_every_s)
    return False


async def kill(run: Run, view: View, workers: Sequence[Worker]) -> None:
    """One of them, once half of the leads have their results; over when another one has taken its place."""
    leads = {name for name in due(run.truth) if name.startswith("event ")}
    while 2 * len(leads & run.seen.met) < len(leads):  # noqa: ASYNC110  # what was seen is a plain value
        await asyncio.sleep(show_every_s)
    async for story in kill_one(run.kill, workers, DEFAULT_PARTITIONS):
        view.say(f"{time.monotonic() - run.since:6.1f} s  {story}", "yellow")


def out(message: Message) -> OutRecord:
    """As a record, in its location's home or, astray, next to it."""
    partition = (home(message.location, DEFAULT_PARTITIONS) + message.astray) % DEFAULT_PARTITIONS
    return OutRecord(message.topic, message.location.encode(), message.value, message.headers, partition)


async def publish(run: Run, upstream: Publisher, highlevel: HighLevel) -> None:
    """The script, at an even pace."""
    total = sum(len(step.changes) for step in run.truth.script)
    pace = max(publishing_at_least_s / max(1, total), 1 / events_per_s)  # s for each event
    pressed = {sync.message: sync.request_id for sync in run.truth.syncs}
    for step in run.truth.script:
        if step.late:
            await highlevel.add(step.late)
        await upstream.publish([out(one) for one in step.changes])
        run.published += len(step.changes)
        await asyncio.sleep(run.since + run.published * pace - time.monotonic())
        if step.sync:
            run.pressed.setdefault(pressed[step.sync], time.monotonic())
            await upstream.publish([out(step.sync)])


async def bring_in(job: SyncAll, upstream: Publisher) -> None:
    """The existing leads of a location, as fast as it goes."""
    messages = [out(message) for case in job.cases for message in case.messages]
    for first in range(0, len(messages), load_at_once):
        await upstream.publish(messages[first : first + load_at_once])


async def ask_for_all(run: Run, upstream: Publisher) -> None:
    """The Sync All, soon after the changes have begun."""
    if job := run.truth.sync_all:
        await asyncio.sleep(ask_for_all_after_s)
        run.asked_at = time.monotonic()
        await upstream.publish([out(job.request)])


async def read(run: Run, records: AsyncIterable[Record]) -> None:
    async for record in records:
        run.seen.hear(record, time.monotonic())


async def look(run: Run, highlevel: HighLevel) -> None:
    while True:
        run.report = await highlevel.report()
        await asyncio.sleep(report_every_s)


def progress(run: Run, left: int, doing: str) -> Progress:
    return Progress(
        elapsed_s=time.monotonic() - run.since,
        published=run.published,
        to_publish=sum(len(step.changes) for step in run.truth.script),
        outcomes=run.seen.outcomes,
        messages=len(run.seen.messages),
        buried=len(run.seen.buried),
        syncs=len(run.pressed),
        to_sync=len(run.truth.syncs),
        answered=len(run.seen.answers),
        latencies_ms=run.latencies_ms,
        disturbed_ms=run.disturbed_ms,
        killed=run.kill.told(time.monotonic()),
        report=run.report,
        statuses=run.seen.statuses,
        waiting=left,
        doing=doing,
        job=job_now(run, time.time() * 1_000),
    )


def job_now(run: Run, now_ms: float) -> JobNow | None:
    """`now_ms`: since 1970; workers tell times of day."""
    job = run.truth.sync_all
    if job is None:
        return None
    told = run.seen.told[-1] if run.seen.told else None
    eta = told.data.get("eta") if told else None
    return JobNow(
        leads=len(job.cases),
        asked=run.asked_at is not None,
        state=told.kind if told else "",
        said=told.data if told else {},
        eta_s=max(0.0, datetime.fromisoformat(eta).timestamp() - now_ms / 1_000) if eta else None,
        took_s=run.job_s,
    )
