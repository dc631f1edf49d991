"""`hydrant demo`: a real Kafka, a HighLevel simulator, two workers, thousands of leads, and a judge who knows what must come of them.

The only file here that knows Hydrant itself: its topics, its client of Kafka, its command. `world` makes up the data, `stage`
holds the processes, `run` publishes and listens, `report` and `spent` judge what came, `view` shows it all.
"""

import argparse
import asyncio
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from processor.kafka import KafkaConfig, KafkaRefused, KafkaUnreachable, Publisher, Tail, admin_client, create_topics
from processor.topics import DEFAULT_PARTITIONS
from tests.lab.demo.job import judge_job
from tests.lab.demo.report import judge
from tests.lab.demo.run import Run, bring_in, perform
from tests.lab.demo.seen import topics
from tests.lab.demo.spent import Arrival, over_budget, spent
from tests.lab.demo.stage import Child, HighLevel, StageFailed, Worker, end, manner, share
from tests.lab.demo.summary import JobSummary, Summary
from tests.lab.demo.view import View
from tests.lab.demo.world import World, world
from tests.lab.kafka_node import Broker, NoKafka, kafka

passed, failed = 0, 1
workers_wanted: Final = 2
over_after_s: Final = 165.0  # of Kafka being up; what is left of 3 minutes is for the summary
complaints_shown: Final = 5  # lines of a worker's log
calls_in_flight: Final = (
    20  # of a location at most (DESIGN §6.7): whether they left is unknown when their worker is killed
)


@dataclass(frozen=True, slots=True)
class Size:
    locations: int = 20
    leads: int = 500  # of each location
    syncs: int = 40
    seed: int = 0
    sync_all: int = 20_000  # leads of a further location, which is synced as a whole; 0: there is none


usual_size: Final = Size()


def main(keep: bool = False, size: Size = usual_size) -> int:
    """0: everything came out right. 1: something didn't, or the demo couldn't run."""
    view = View()
    introduce(view, size)
    interrupts = (signal.SIGINT, signal.SIGTERM)  # the first one is ignored from birth in a shell's background
    before = [signal.signal(one, signal.default_int_handler) for one in interrupts]
    begun = time.monotonic()
    try:
        with kafka(view.note) as broker:
            up = time.monotonic()
            view.say(f"Kafka is up at {broker.bootstrap} after {up - begun:.1f} s ({broker.origin})")
            return asyncio.run(play(view, broker, size, keep, up))
    except (KeyboardInterrupt, asyncio.CancelledError):
        view.say("Interrupted: everything is stopped.")
    except (NoKafka, KafkaUnreachable, KafkaRefused, StageFailed) as why:
        view.say(str(why), "red")
    finally:
        for one, handler in zip(interrupts, before, strict=True):
            signal.signal(one, handler)
    return failed


def introduce(view: View, size: Size) -> None:
    view.say("Hydrant demo", "bold")
    meanwhile = (
        f"Meanwhile {size.sync_all:,} leads of one more location are synced as a whole.\n" if size.sync_all else ""
    )
    view.say(
        f"Upstream tells of {size.locations} × {size.leads:,} leads through Kafka, and {size.syncs} times somebody presses\n"
        f"Sync. {workers_wanted} workers find each lead's HighLevel contact, fill what the lead lacks and\n"
        "import the SMS of whoever is synced, within each location's rate budget;\n"
        f"HighLevel is a simulator.\n{meanwhile}"
        "Halfway, one of the workers is killed (-9). What comes out is compared with what\n"
        "the generator of the data knows to be right. It takes little more than a minute.\n"
    )


async def play(view: View, broker: Broker, size: Size, keep: bool, up: float) -> int:
    """All that happens while Kafka is up, `up` being since when."""
    if playing := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    name = f"demo-{secrets.token_hex(3)}"
    config = KafkaConfig(broker.bootstrap, prefix=f"{name}.", group_id=name)
    children: list[Child] = []
    made: Mapping[str, str] = {}
    try:
        made = await create_topics(config, DEFAULT_PARTITIONS)
        phase(view, up, f"{len(made)} topics {config.prefix}… are made, of {DEFAULT_PARTITIONS} partitions each")
        now_ms = time.time_ns() // 1_000_000
        truth = world(now_ms, size.locations, size.leads, size.syncs, size.seed, sync_all=size.sync_all)
        highlevel, workers = await stage(view, config, truth, children)
        async with (
            Tail(config, topics, start="start") as tail,
            Publisher(config) as upstream,
        ):
            if truth.sync_all:
                since = time.monotonic()
                await bring_in(truth.sync_all, upstream)
                phase(view, since, f"{len(truth.sync_all.cases):,} leads of {truth.sync_all.location} are brought in")
            run = Run(truth, time.monotonic())
            complete = await perform(view, run, upstream, highlevel, workers, tail, over=up + over_after_s)
        summary = await sum_up(run, highlevel, complete, [child.name for child in children if child.ended])
        view.summary(summary)
        if not summary.passed:
            complaints(view, workers)
        if keep:
            await linger(view, run, config, highlevel, workers)
        return passed if summary.passed else failed
    finally:
        end(children)
        if made and broker.origin == "environment":  # others use it, too
            await remove_topics(config)


async def stage(
    view: View, config: KafkaConfig, truth: World, children: list[Child]
) -> tuple[HighLevel, Sequence[Worker]]:
    """Simulator and workers; whoever is started stands in `children` at once."""
    since = time.monotonic()
    children.append(highlevel := HighLevel(truth))
    await highlevel.ready()
    contacts = sum(1 for _ in truth.contacts())
    phase(view, since, f"HighLevel's simulator, {contacts:,} contacts: {highlevel.url}")
    slowest = manner["latency-ms"] + manner["jitter-ms"]
    said = sum(1 for _ in truth.sms())
    view.note(f"it knows {said:,} messages of theirs, most of them SMS")
    view.note(f"it answers in {manner['latency-ms']} to {slowest} ms and allows a location 100 calls in any 10 s")
    since = time.monotonic()
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": config.bootstrap,
        "KAFKA_TOPIC_PREFIX": config.prefix,
        "KAFKA_GROUP_ID": config.group_id,
    }
    workers: list[Worker] = []
    for number in range(1, workers_wanted + 1):
        workers.append(Worker(f"worker {number}", environ, highlevel))
        children.append(workers[-1])
    owned = await share(workers, DEFAULT_PARTITIONS)
    phase(view, since, f"{len(workers)} workers are ready and share the partitions, {' and '.join(map(str, owned))}")
    return highlevel, workers


async def sum_up(run: Run, highlevel: HighLevel, complete: bool, ended: Sequence[str]) -> Summary:
    log = {location: await highlevel.arrivals(location) for location in run.truth.locations}
    job = sum_up_job(run, log.pop(run.truth.sync_all.location)) if run.truth.sync_all else None
    calls = spent(log)
    troubles = list(over_budget(calls, strays=len(await highlevel.arrivals(""))))
    troubles += over_budget(job.spent, strays=0) if job else ()
    troubles += [f"{name} ended before the demo did." for name in ended]
    if run.kill.back_at is None:
        troubles.append("No worker was killed, or none has taken its place.")
    if not complete:
        troubles.append("The time was over before all had come.")
    return Summary(
        verdict=judge(run.truth, run.seen),
        spent=calls,
        leads=len(run.truth.cases),
        malformed=len(run.truth.malformed),
        syncs=len(run.truth.syncs),
        answered=len({answer.request_id for answer in run.seen.answers}),
        latencies_ms=run.latencies_ms,
        disturbed_ms=run.disturbed_ms,
        killed=run.kill.told(time.monotonic()),
        seconds=time.monotonic() - run.since,
        troubles=troubles,
        job=job,
    )


def sum_up_job(run: Run, arrivals: Sequence[Arrival]) -> JobSummary | None:
    if (job := run.truth.sync_all) is None:
        return None
    told = {one.kind: one.data for one in run.seen.told}
    return JobSummary(
        verdict=judge_job(job, run.seen, len(arrivals), unsure=calls_in_flight if run.job_disturbed else 0),
        planned=told.get("started", {}).get("calls_planned"),
        told=told.get("completed", {}),
        spent=spent({job.location: arrivals}),
        leads=len(job.cases),
        looked_up=job.looked_up,
        location=job.location,
        seconds=run.job_s,
        disturbed=run.job_disturbed,
    )


def complaints(view: View, workers: Sequence[Worker]) -> None:
    """What the workers logged, but for what they buried: that was judged."""
    for worker in workers:
        if logged := [line for line in worker.log if '"note": "buried"' not in line]:
            view.say()
            view.say(f"{worker.name} logged {len(logged)} warnings and errors, the last ones:", "yellow")
            for line in logged[-complaints_shown:]:
                view.note(line)


async def linger(view: View, run: Run, config: KafkaConfig, highlevel: HighLevel, workers: Sequence[Worker]) -> None:
    """Until Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    shown = next((case for case in run.truth.cases if case.kind == "found by e-mail"), run.truth.cases[0])
    view.say()
    view.say("Everything keeps running until Ctrl-C. In another terminal:")
    view.say(f"  export KAFKA_BOOTSTRAP_SERVERS={config.bootstrap} KAFKA_TOPIC_PREFIX={config.prefix}")
    view.say("  hydrant status")
    view.say(f"  hydrant sync {shown.location} {shown.lead}")
    if run.truth.sync_all:
        view.say(f"  hydrant sync-all {run.truth.sync_all.location} --watch")
    view.say(f"  curl {highlevel.url}/_sandbox/report")
    for worker in workers:
        view.say(f"  curl {worker.url}/metrics  # of {worker.name}, which logs into {worker.folder}/log")
    await stop.wait()


async def remove_topics(config: KafkaConfig) -> None:
    """Those with the demo's prefix. A Kafka that is gone keeps them."""
    with suppress(KafkaUnreachable, KafkaRefused):
        async with admin_client(config) as admin:
            await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(config.prefix)])


def phase(view: View, since: float, what: str) -> None:
    view.say(f"{what}, after {time.monotonic() - since:.1f} s")


def positive(given: str) -> int:
    if (number := int(given)) < 1:
        raise ValueError
    return number


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description="The demo, in another size")
    parser.add_argument("--locations", type=positive, default=usual_size.locations)
    parser.add_argument("--leads", type=positive, default=usual_size.leads, help="of each location")
    parser.add_argument("--syncs", type=int, default=usual_size.syncs)
    parser.add_argument(
        "--sync-all", type=int, default=usual_size.sync_all, help="leads of a location that is synced as a whole"
    )
    parser.add_argument("--seed", type=int, default=usual_size.seed)
    parser.add_argument("--keep", action="store_true", help="keep everything running afterwards")
    return parser
