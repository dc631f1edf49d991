"""Play one seed on a real Kafka, and let the lab's checkers judge it."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import orjson

from processor.events.cloudevents import Record
from processor.kafka import KafkaRefused, KafkaUnreachable
from processor.topics import TOPICS
from tests.integration.chaos.crew import Crew
from tests.integration.chaos.load import load, marks, partitions
from tests.integration.chaos.proxy import proxy
from tests.integration.chaos.schedule import Event, crew, guest, schedule
from tests.integration.trial import Trial, trial
from tests.lab.checkers import flaws_by_checker
from tests.lab.checkers.calls import busiest
from tests.lab.checkers.invariants import invariants
from tests.lab.checkers.privacy import no_leak
from tests.lab.checkers.unfinished import unfinished
from tests.lab.harness.rows import history_of, out_of, world_rows
from tests.lab.history import History
from tests.lab.kafka_node import Node, node
from tests.lab.workload.workload import Workload

latency_ms: Final = 60
publish_every_s: Final = 0.5
look_every_s: Final = 2.0
report_every_s: Final = 5.0
done_within_s: Final = 150.0  # after the last fault
lost_by: Final = invariants[2] | {"all_done", "no_work_left"}  # checkers, whose flaws mean that something is lost
repeated_by: Final = invariants[3]


@dataclass(frozen=True, slots=True)
class ChaosOutcome:
    seed: int
    events: Mapping[str, int]  # by kind
    leads: int
    results: int
    messages: int
    calls: int
    worst_window: int  # calls of a location in 10 s
    refused: int  # 429s that no fault injected
    lost: tuple[str, ...]
    repeated: tuple[str, ...]
    other: tuple[str, ...]
    took_s: float  # from the end of the faults until all work was done

    @property
    def flaws(self) -> tuple[str, ...]:
        return self.lost + self.repeated + self.other

    def __str__(self) -> str:
        found = f"lost {len(self.lost)}, repeated {len(self.repeated)}, other flaws {len(self.other)}"
        calls = f"{self.calls} calls, worst window {self.worst_window}, {self.refused} refused"
        done = f"{self.results} results of {self.leads} leads, {self.messages} messages"
        return f"seed {self.seed}: {sum(self.events.values())} events, {done}, {calls}; {found}; done {self.took_s:.0f} s later"


def quiet(_: str) -> None:
    pass


async def run(
    seed: int, seconds: float, folder: Path, broker: Node, report: Callable[[str], None] = quiet
) -> ChaosOutcome:
    """Play a seed. Logs go to `folder`, and so do the records, where there are flaws. `broker` is killed and restarted."""
    async with AsyncExitStack() as stack:
        prefix = f"chaos-{seed}-{uuid4().hex[:8]}."
        here = await stack.enter_async_context(trial(broker.bootstrap, prefix, folder, partitions))
        workload, events = load(seed, seconds), schedule(seed, seconds)
        highlevel = here.start_sandbox(world_rows(workload), latency_ms)
        proxies = {whom: await stack.enter_async_context(proxy(highlevel.url)) for whom in (*crew, guest)}
        workers = Crew(here, highlevel, broker, proxies, report)
        for whom in crew:
            workers.start(whom)
        await here.wait_until_shared(*workers.now.values())
        began_ms = round(time.time() * 1_000)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(workers.keep(), name="keep")
            await disturb(workers, workload, events)
            took_s = await done(here, workload, workers.flaws, report)
            keeping.cancel()
        await workers.end()
        await here.end_workers()
        records = await here.read(*TOPICS)
        history = history_of(workload, records, highlevel.arrivals_by_location(), began_ms, kills=True, prefix=prefix)
        refused = highlevel.report()["totals"]["refused"]
        logs = {f"{one.name}, {number}": one.everything_written for number, one in enumerate(here.workers)}
        outcome = judged(seed, events, history, refused, [*workers.flaws, *no_leak(history, logs, marks)], took_s)
        if outcome.flaws:
            keep(folder, outcome, records, history)
        return outcome


def run_alone(seed: int, seconds: float, report: Callable[[str], None] = quiet) -> tuple[ChaosOutcome, Path | None]:
    """Play a seed on a broker of its own. Where there are flaws, keep logs and records in the folder that is returned."""
    folder = Path(tempfile.mkdtemp(prefix=f"hydrant-chaos-{seed}-"))
    with node() as broker:
        outcome = asyncio.run(run(seed, seconds, folder, broker, report))
    if outcome.flaws:
        return outcome, folder
    shutil.rmtree(folder)
    return outcome, None


async def disturb(workers: Crew, workload: Workload, events: Sequence[Event]) -> None:
    """Publish the workload and inject the faults, until both are over."""
    begin = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish(workers.here, workload, begin), name="upstream")
        for event in events:
            tasks.create_task(workers.inject(event, begin), name=f"{event.whom}: {event.kind}")


async def publish(here: Trial, workload: Workload, begin: float) -> None:
    """Publish leads before the requests that name them. Records that Kafka may not have taken are published again."""
    waiting = list(workload.publications)
    while waiting:
        await asyncio.sleep(publish_every_s)
        now_ms = (time.monotonic() - begin) * 1_000
        due = [one for one in waiting if one.at <= now_ms]
        waiting = waiting[len(due) :]
        for topic in ("lead.changes", "sync.requests"):
            batch = [out_of(workload, one) for one in due if one.topic == topic]
            while batch:
                try:
                    await here.publish(batch)
                    break
                except (KafkaUnreachable, KafkaRefused):
                    await asyncio.sleep(publish_every_s)


async def done(here: Trial, workload: Workload, flaws: list[str], report: Callable[[str], None]) -> float:
    """Wait until nothing is unfinished, and return how many s that took."""
    begin = reported = time.monotonic()
    while missing := await asyncio.to_thread(lambda: [*unfinished(history_of(workload, list(here.outputs), {}, 0))]):
        now = time.monotonic()
        if now - reported > report_every_s:
            reported = now
            report(f"{now - begin:6.1f} s later  {len(missing)} missing: {missing[0]}")
        if now - begin > done_within_s:
            flaws.append(f"not done {done_within_s:.0f} s after the last fault: {len(missing)} missing")
            break
        await asyncio.sleep(look_every_s)
    return time.monotonic() - begin


def judged(
    seed: int, events: Iterable[Event], history: History, refused: int, more: Sequence[str], took_s: float
) -> ChaosOutcome:
    """`more` are flaws that no checker of a history finds."""
    found = flaws_by_checker(history)
    lost = [flaw for name in found if name in lost_by for flaw in found[name]]
    repeated = [flaw for name in found if name in repeated_by for flaw in found[name]]
    other = [flaw for name in found if name not in lost_by | repeated_by for flaw in found[name]]
    if refused:
        other.append(f"{refused} calls were refused (429), and no fault injected it")
    if unattributed := sum(not arrival.location for arrival in history.arrivals):
        other.append(f"{unattributed} calls named no location")
    times: dict[str, list[float]] = {}
    for arrival in history.arrivals:
        times.setdefault(arrival.location, []).append(arrival.at)
    return ChaosOutcome(
        seed,
        dict(Counter(event.kind for event in events)),
        len(history.workload.leads),
        len(history.results),
        len(history.events("lead.messages")),
        len(history.arrivals),
        max(map(busiest, times.values()), default=0),
        refused,
        tuple(lost),
        tuple(repeated),
        (*other, *more),
        round(took_s, 1),
    )


def keep(folder: Path, outcome: ChaosOutcome, records: Iterable[Record], history: History) -> None:
    """Write the flaws, and the records and arrivals in which they were found."""
    (folder / "flaws.txt").write_text("".join(f"{flaw}\n" for flaw in outcome.flaws))
    arrivals = [[one.location, one.at, one.what, one.status] for one in history.arrivals]
    (folder / "arrivals.json").write_bytes(orjson.dumps(arrivals))
    with (folder / "records.jsonl").open("wb") as file:
        for one in records:
            row = {"topic": one.topic, "partition": one.partition, "offset": one.offset, "at": one.timestamp_ms}
            value = (one.value or b"").decode(errors="replace")
            file.write(orjson.dumps({**row, "value": value}, option=orjson.OPT_APPEND_NEWLINE))
