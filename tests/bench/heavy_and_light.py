"""A flood of leads that each need a look-up, most of them in few locations: it's done at the budget's pace, and the many
don't hold up the few. The same while a second worker joins, and while one is killed: no call too many, none lost or twice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import orjson

from tests.bench.figures import Figure, Report, at_most, percentile
from tests.bench.leads import changes, contacts, locations
from tests.bench.stage import Failed, Sandbox, Stage, Worker, partitions

of_heavy: Final = 270  # leads; at 9 calls a second they take 30 s
of_light: Final = 10
lacking: Final = ("contact_id",)  # one search gives it, so no GET is due
latency_ms: Final = 50.0
blow_after_s: Final = 4.0  # of the flood
first_look_s: Final = 28.0  # a heavy location can't be done before, and looking costs CPU
look_every_s: Final = 1.0
linger_s: Final = 3.0  # after the last result: what comes twice comes by then
patience_s: Final = 150.0


@dataclass(frozen=True, slots=True)
class World:
    heavy: Sequence[str]
    light: Sequence[str]

    @property
    def where(self) -> list[str]:
        """Each lead's location, by the lead's number."""
        heavy = [location for location in self.heavy for _ in range(of_heavy)]
        return heavy + [location for location in self.light for _ in range(of_light)]


@dataclass(frozen=True, slots=True)
class Answered:
    """A result. Times are CreateTimes of records, ms: its event's, and its own before its transaction is committed."""

    cause: str  # the id of its event
    asked: int
    answered: int
    data: Mapping[str, Any]

    @property
    def waited_s(self) -> float:
        return (self.answered - self.asked) / 1_000


def heavy_and_light(stage: Stage, quick: bool) -> Report:
    there = world(quick)
    conditions = [*told_of(there), "one worker, ready and without any state before the first record is published"]
    report = Report("heavy_and_light", stage.conditions() + conditions)
    with sandbox_of(stage, there) as sandbox:
        with ready(stage, sandbox) as worker:
            cpu_s = worker.cpu_s()
            flood(stage, there)
            found = results(stage, there)
            cpu_s = worker.cpu_s() - cpu_s
        report.figures += [Figure("all done after", took_s(found), "s", at_most(32)), *waits(there, found)]
        report.figures += kept(there, found, sandbox.report()["totals"])
        report.figures += [Figure("CPU of the worker", cpu_s, "s"), *spans(there, found)]
    return report


def worker_joins(stage: Stage, quick: bool) -> Report:
    def join(sandbox: Sandbox, workers: ExitStack, first: Worker) -> None:
        workers.enter_context(second_one(stage, sandbox))

    return disturbed(stage, world(quick), "worker_joins", "a second worker, without any state, joins", join)


def worker_killed(stage: Stage, quick: bool) -> Report:
    def restart(sandbox: Sandbox, workers: ExitStack, first: Worker) -> None:
        first.kill()
        workers.enter_context(ready(stage, sandbox, "successor"))

    what = "the only worker gets SIGKILL and is started again at once, in the same state folder"
    return disturbed(stage, world(quick), "worker_killed", what, restart)


def one_of_two_killed(stage: Stage, quick: bool) -> Report:
    def kill(sandbox: Sandbox, workers: ExitStack, first: Worker) -> None:
        first.kill()

    return disturbed(stage, world(quick), "one_of_two_killed", "one of two workers gets SIGKILL", kill, second=True)


def disturbed(
    stage: Stage,
    there: World,
    bench: str,
    what: str,
    blow: Callable[[Sandbox, ExitStack, Worker], None],
    second: bool = False,
) -> Report:
    conditions = [*told_of(there), f"{blow_after_s:.0f} s after the last record was published, {what}"]
    report = Report(bench, stage.conditions() + conditions)
    with sandbox_of(stage, there) as sandbox:
        with ExitStack() as running:
            first = running.enter_context(ready(stage, sandbox))
            if second:
                running.enter_context(second_one(stage, sandbox))
            published = flood(stage, there)
            time.sleep(max(0.0, published + blow_after_s - time.monotonic()))
            blow(sandbox, running, first)
            found = results(stage, there)
        report.figures += kept(there, found, sandbox.report()["totals"])
        report.figures += [
            Figure("all done after", took_s(found), "s"),
            Figure("longest silence", silence_s(found), "s"),
        ]
    return report


def world(quick: bool) -> World:
    named = locations(40 if quick else 200)
    heavy = len(named) // 10
    return World(named[:heavy], named[heavy:])


def told_of(there: World) -> list[str]:
    leads = len(there.where)
    return [
        f"{leads:,} leads, shuffled: {len(there.heavy)} heavy locations of {of_heavy}, {len(there.light)} light ones of "
        f"{of_light}",
        "each lacks its contact alone: one search a lead (HYDRANT_PROBE_SIZE=1), at 9 a second 30 s of a heavy location's",
        f"published as fast as Kafka takes them; the sandbox answers after {latency_ms:.0f} ms, allows 100 calls in any 10 s",
        "waits: from the CreateTime of a lead's record to that of its result's; windows: by the sandbox's clock",
    ]


def sandbox_of(stage: Stage, there: World) -> AbstractContextManager[Sandbox]:
    return stage.sandbox(contacts(there.where, range(len(there.where))), latency_ms)


def ready(
    stage: Stage, sandbox: Sandbox, name: str = "worker", opens: int = partitions, state: str = "state"
) -> AbstractContextManager[Worker]:
    folder = stage.folder / state
    return stage.worker(sandbox, name=name, opens=opens, HYDRANT_PROBE_SIZE=1, HYDRANT_STATE_DIR=folder)


def second_one(stage: Stage, sandbox: Sandbox) -> AbstractContextManager[Worker]:
    """With half of the partitions, on another machine, so to speak: its state folder is its own."""
    return ready(stage, sandbox, "second", partitions // 2, state="state of the second")


def flood(stage: Stage, there: World) -> float:
    """Returns when the last one was taken, monotonic s."""
    made = list(changes(there.where, range(len(there.where)), lacking))  # first, so that making them slows nothing down
    stage.publish(made, there.where)
    return time.monotonic()


def results(stage: Stage, there: World) -> list[Answered]:
    """Wait for a result of each lead, and a while longer; lost is what isn't there after that."""
    deadline, leads = time.monotonic() + patience_s, len(there.where)
    time.sleep(first_look_s)
    while len({one.cause for one in read(stage)}) < leads and time.monotonic() < deadline:
        time.sleep(look_every_s)
    time.sleep(linger_s)
    if not (found := read(stage)):
        raise Failed(f"there is no result at all after {patience_s:.0f} s")
    return found


def read(stage: Stage) -> list[Answered]:
    asked = {orjson.loads(one.value or b"")["id"]: one.timestamp_ms for one in stage.read("lead.changes")}
    found = []
    for record in stage.read("lead.updates"):
        data = orjson.loads(record.value or b"")["data"]
        if (data["outcome"], [*data["changes"]]) != ("updated", [*lacking]):
            raise Failed(f"a result is {data['outcome']}, {data['reason']}, and changes {[*data['changes']]}")
        causes = [cause["id"] for cause in data["causes"]]
        found += [Answered(cause, asked[cause], record.timestamp_ms, data) for cause in causes]
    return found


def kept(there: World, found: Sequence[Answered], totals: Mapping[str, int]) -> list[Figure]:
    """What holds whatever happens."""
    answered = {one.cause for one in found}
    return [
        Figure("worst 10 s window of a location", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
        Figure("leads without a result", len(there.where) - len(answered), "", at_most(0)),
        Figure("changes answered twice", len(found) - len(answered), "", at_most(0)),
        Figure("calls per lead", totals["arrivals"] / len(there.where)),
    ]


def waits(there: World, found: Sequence[Answered]) -> list[Figure]:
    waited = [one.waited_s for one in of_the_light(there, found)]
    return [
        Figure("light locations' leads: p50", percentile(waited, 0.5), "s", at_most(0.8)),
        Figure("light locations' leads: p99", percentile(waited, 0.99), "s", at_most(1.5)),
    ]


def spans(there: World, found: Sequence[Answered]) -> list[Figure]:
    """Where the light locations' leads spend their time, as their results say."""
    named = {
        "queued": "until it is heard",
        "permit": "from there until its call is granted",
        "network": "from there until its answer is heard, the grant's commit included",
    }
    figures = []
    for name, what in named.items():
        took = [one.data["timings_ms"][name] / 1_000 for one in of_the_light(there, found)]
        figures += [Figure(f"{what}: p{share * 100:.0f}", percentile(took, share), "s") for share in (0.5, 0.99)]
    return figures


def of_the_light(there: World, found: Sequence[Answered]) -> list[Answered]:
    light = {*there.light}
    return [one for one in found if one.data["location_id"] in light]


def took_s(found: Sequence[Answered]) -> float:
    return (max(one.answered for one in found) - min(one.asked for one in found)) / 1_000


def silence_s(found: Sequence[Answered]) -> float:
    """The longest time without any result."""
    at = sorted(one.answered for one in found)
    return max(after - before for before, after in pairwise(at)) / 1_000
