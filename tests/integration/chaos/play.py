"""One seed, played on a real Kafka and judged: `run`."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import orjson

from processor.events.cloudevents import Record
from processor.kafka import Refused, Unreachable
from processor.shard.state import Out
from tests.integration.chaos import verdict
from tests.integration.chaos.crew import Crew
from tests.integration.chaos.load import Load, load, partitions
from tests.integration.chaos.proxy import proxy
from tests.integration.chaos.schedule import Event, crew, guest, schedule
from tests.integration.chaos.verdict import Seen, Verdict, judged, lost
from tests.integration.talks import add_messages
from tests.integration.trial import Trial, trial
from tests.lab.harness.calls import summarize_calls
from tests.lab.kafka_node import Node, node

latency_ms: Final = 60
tell_every_s: Final = 0.5
look_every_s: Final = 1.0
say_every_s: Final = 5.0
done_within_s: Final = 150.0  # after the last fault


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    events: Mapping[str, int]  # by kind
    leads: int
    results: int
    messages: int
    calls: int
    worst_window: int  # calls of a location in 10 s
    refused: int  # 429s that nobody injected
    lost: tuple[str, ...]
    repeated: tuple[str, ...]
    other: tuple[str, ...]
    took_s: float  # from the end of the faults until all work was done

    @property
    def flaws(self) -> tuple[str, ...]:
        return self.lost + self.repeated + self.other

    def __str__(self) -> str:
        found = f"lost {len(self.lost)}, repeated {len(self.repeated)}, other flaws {len(self.other)}"
        spent = f"{self.calls} calls, worst window {self.worst_window}, {self.refused} refused"
        told = f"{self.results} results of {self.leads} leads, {self.messages} messages"
        return f"seed {self.seed}: {sum(self.events.values())} events, {told}, {spent}; {found}; done {self.took_s:.0f} s later"


def quiet(_: str) -> None:
    pass


async def run(seed: int, seconds: float, folder: Path, broker: Node, say: Callable[[str], None] = quiet) -> Outcome:
    """Logs go to `folder`, and what was told, where there are flaws. `broker` is killed and started again."""
    async with AsyncExitStack() as stack:
        prefix = f"chaos-{seed}-{uuid4().hex[:8]}."
        here = await stack.enter_async_context(trial(broker.bootstrap, prefix, folder, partitions))
        upstream, events = load(seed, seconds), schedule(seed, seconds)
        highlevel = here.start_highlevel(upstream.contacts, latency_ms)
        await asyncio.to_thread(add_messages, highlevel, upstream.talks)
        proxies = {whom: await stack.enter_async_context(proxy(highlevel.url)) for whom in (*crew, guest)}
        workers = Crew(here, highlevel, broker, proxies, say)
        for whom in crew:
            workers.start(whom)
        await here.wait_until_shared(*workers.now.values())
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(workers.keep(), name="keep")
            await suffer(workers, upstream, events)
            took_s = await done(here, upstream, workers.flaws, say)
            keeping.cancel()
        await workers.end()
        told = await here.end_workers()
        seen = Seen(highlevel.arrivals_by_location(), highlevel.report()["totals"]["refused"])
        said = {f"{one.name}, {number}": one.everything_written for number, one in enumerate(here.workers)}
        found = judged(upstream, told, seen, said)
        outcome = summed_up(seed, events, upstream, told, seen, found, workers.flaws, took_s)
        if outcome.flaws:
            keep(folder, outcome, told, seen)
        return outcome


def run_alone(seed: int, seconds: float, say: Callable[[str], None] = quiet) -> tuple[Outcome, Path | None]:
    """On a broker of its own. Logs, and what was told, are kept where there are flaws, in the folder that it returns."""
    folder = Path(tempfile.mkdtemp(prefix=f"hydrant-chaos-{seed}-"))
    with node() as broker:
        outcome = asyncio.run(run(seed, seconds, folder, broker, say))
    if outcome.flaws:
        return outcome, folder
    shutil.rmtree(folder)
    return outcome, None


async def suffer(workers: Crew, upstream: Load, events: Sequence[Event]) -> None:
    """The load and the schedule, until both are over."""
    begin = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell(workers.here, upstream.told, begin), name="upstream")
        for event in events:
            tasks.create_task(workers.befall(event, begin), name=f"{event.whom}: {event.kind}")


async def tell(here: Trial, told: Sequence[tuple[float, Out]], begin: float) -> None:
    """Leads before the requests that name them. Where Kafka doesn't take it, it is told again: upstream doesn't know whether
    it was heard."""
    done = 0
    while done < len(told):
        await asyncio.sleep(tell_every_s)
        now_s = time.monotonic() - begin
        due = [out for at_s, out in told[done:] if at_s <= now_s]
        for requests in (False, True):
            batch = [out for out in due if (out.topic == "sync.requests") == requests]
            while batch:
                try:
                    await here.publish(batch)
                    break
                except (Unreachable, Refused):
                    await asyncio.sleep(tell_every_s)
        done += len(due)


async def done(here: Trial, upstream: Load, flaws: list[str], say: Callable[[str], None]) -> float:
    """Wait until nothing is missing. How long that took, s."""
    begin = told = time.monotonic()
    while missing := [*lost(upstream, here.outputs)]:
        now = time.monotonic()
        if now - told > say_every_s:
            told = now
            say(f"{now - begin:6.1f} s later  {len(missing)} missing: {missing[0]}")
        if now - begin > done_within_s:
            flaws.append(f"not done {done_within_s:.0f} s after the last fault: {len(missing)} missing")
            break
        await asyncio.sleep(look_every_s)
    return time.monotonic() - begin


def summed_up(
    seed: int,
    events: Sequence[Event],
    upstream: Load,
    told: Sequence[Record],
    seen: Seen,
    found: Verdict,
    more: Sequence[str],
    took_s: float,
) -> Outcome:
    return Outcome(
        seed,
        dict(Counter(event.kind for event in events)),
        upstream.leads,
        len(verdict.results(told)),
        len(verdict.imported(told)),
        sum(map(len, seen.arrivals.values())),
        summarize_calls(seen.arrivals).worst_window,
        seen.refused,
        found.lost,
        found.repeated,
        (*found.other, *more),
        round(took_s, 1),
    )


def keep(folder: Path, outcome: Outcome, told: Sequence[Record], seen: Seen) -> None:
    """What the flaws were found in."""
    (folder / "flaws.txt").write_text("".join(f"{flaw}\n" for flaw in outcome.flaws))
    (folder / "arrivals.json").write_bytes(
        orjson.dumps({where: [[*one] for one in calls] for where, calls in seen.arrivals.items()})
    )
    with (folder / "told.jsonl").open("wb") as file:
        for one in told:
            row = {"topic": one.topic, "partition": one.partition, "offset": one.offset, "at": one.timestamp_ms}
            value = (one.value or b"").decode(errors="replace")
            file.write(orjson.dumps({**row, "value": value}, option=orjson.OPT_APPEND_NEWLINE))
