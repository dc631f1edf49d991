"""What rebalances cost: use of the budget and waits of whoever presses Sync, while workers restart, on virtual time with
the real runner and supervisor. `python -m tests.prove.rebalances [SECONDS]` prints a table."""

import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import quantiles
from typing import Final, Literal

from processor.ratelimit.budget import Rate
from tests.lab.checkers.calls import busiest, grouped
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.times import start_ms
from tests.lab.workload.workload import Workload, locations_at_home
from tests.simulation.faults.group_faults import GroupFault, as_static_members
from tests.simulation.runs.play import finish, prepare
from tests.simulation.runs.play_group import GroupRun
from tests.simulation.runs.run import Run, World
from tests.simulation.world.broker import Faults
from tests.simulation.world.group import Group
from tests.simulation.world.network import Network

How = Literal["leaves", "dies"]  # SIGTERM, kill -9

workers: Final = 2
partitions: Final = 2  # a saturated location each
warm_ms: Final = 20_000
back_after_ms: Final = 2_000  # a process starts anew
ahead_ms: Final = 20_000  # so much work waits, at least: the backlog never ends
per_window: Final = Rate().per_window
share: Final = 0.25  # of the budget is asked for by people
round_trip: Final = Network(connect=(0, 3), out=(45, 55), back=(45, 55))


@dataclass(frozen=True, slots=True)
class Case:
    how: How = "leaves"
    every_s: int = 0  # one worker after the other restarts so often; 0: never
    static: bool = False

    def __str__(self) -> str:
        kind = "static" if self.static else "dynamic"
        return f"{kind}, one {self.how} every {self.every_s} s" if self.every_s else "no rebalance"


@dataclass(frozen=True, slots=True)
class Row:
    """What one run showed."""

    case: Case
    seconds: int
    generations: int  # rebalances
    moved: int  # partitions that another process got
    use: float  # calls that left, of 90 in 10 s
    p50_ms: int  # from asking to the call that it caused
    p99_ms: int
    worst: int  # most calls that HighLevel saw from one location in 10 s
    calls: int  # in all


cases: Final = (
    Case(),
    *(Case(how, every_s, static) for every_s in (120, 20) for static in (False, True) for how in ("leaves", "dies")),
)


def measure(seconds: int = 240) -> tuple[Row, ...]:
    return tuple(measured(case, seconds) for case in cases)


def measured(case: Case, seconds: int, seed: int = 0) -> Row:
    """One run, judged by what left for HighLevel and by whoever asked."""
    run = saturated(case, seconds, seed)
    assert run.group
    assert not run.crashed, run.crashed
    begins = start_ms + warm_ms
    ends = begins + seconds * 1000
    calls = sum(begins <= one.at < ends for one in run.server.sent)
    percentiles = quantiles(waits(run, begins, ends), n=100, method="inclusive")
    return Row(
        case,
        seconds,
        run.group.generation - 1,
        len([one for one in run.group.moved if one.at >= begins]),
        calls / (seconds * partitions * per_window / 10),
        round(percentiles[49]),
        round(percentiles[98]),
        max(map(busiest, grouped((one.location, one.at) for one in run.server.arrivals).values())),
        len(run.server.arrivals),
    )


def saturated(case: Case, seconds: int, seed: int) -> Run:
    ends = warm_ms + seconds * 1000
    locations = [location for where in range(partitions) for location in locations_at_home(1, where, partitions)]
    tales: list[WorkloadLead] = []
    for location in locations:
        tales += backlog(seed, location, len(tales), ends)
        tales += asked(seed, location, len(tales), ends)
    owned = tuple(range(partitions))
    scenario = Workload(seed, tales, raw_names=frozenset(locations), partitions=partitions, owned=owned)
    run = prepare(
        scenario, World(probe_size=1, network=round_trip, faults=Faults(slow=0.0)), fates=restarts(case, seed, ends)
    )
    run.group = Group(run.kafka, scenario.owned)
    return finish(run, story(GroupRun(run, run.group), ends))


async def story(direction: GroupRun, ends: int) -> None:
    direction.begin()
    await asyncio.sleep(ends / 1000)


def restarts(case: Case, seed: int, ends: int) -> Sequence[GroupFault]:
    random = Random(f"{seed} restarts")
    fates = [GroupFault(0, "starts", who) for who in range(workers)]
    if case.every_s:
        each = case.every_s * 1000
        for number, at in enumerate(range(warm_ms, ends - each // 2, each)):  # at any time between two heartbeats
            at += random.randint(each // 4, each // 2)
            fates.append(GroupFault(at, case.how, number % workers, back_after_ms, lands=random.random() < 0.5))
    return as_static_members(fates) if case.static else fates


def backlog(seed: int, location: str, first: int, ends: int) -> Iterator[WorkloadLead]:
    """Leads, each worth one call, that are there before the budget can serve them."""
    for number in range((ends + ahead_ms) * per_window // 10_000):
        tale = WorkloadLead(seed, first + number, location, True, max(0, number * 10_000 // per_window - ahead_ms))
        person = tale.person()
        tale.change(1, {"email": person.fields["email"]}, person)
        yield tale


def asked(seed: int, location: str, first: int, ends: int) -> Iterator[WorkloadLead]:
    """Syncs, each worth one call, at any time."""
    random, at = Random(f"{seed} {location} asked"), 0.0
    while (at := at + random.expovariate(share * per_window / 10_000)) < ends:
        tale = WorkloadLead(seed, first, location, True, int(at))
        person = tale.person()
        tale.is_so(1, {name: person.fields[name] for name in ("email", "timezone")}, person)
        tale.sync(f"request-{first}", lead=tale.snapshot(1))
        first += 1
        yield tale


def waits(run: Run, begins: int, ends: int) -> Iterator[int]:
    """From each Sync asked for meanwhile to its call, which may not have left by the end."""
    left = {ask.partition(" ")[0]: one.at for one in reversed(run.server.sent) for ask in one.asks}
    for tale in run.scenario.tales:
        if tale.truth.requests and begins <= (at := start_ms + tale.begins) < ends:
            yield left.get(tale.lead, ends) - at


def main() -> None:
    logging.disable()
    seconds = int(sys.argv[1]) if sys.argv[1:] else 240
    print(
        f"{seconds} s, {workers} workers, {partitions} saturated locations; a worker is back after {back_after_ms} ms\n"
    )
    print(f"{'':32} {'rebalances':>10} {'moved':>6} {'use':>8} {'p50':>8} {'p99':>8} {'worst':>6}")
    for row in measure(seconds):
        waits = f"{row.p50_ms:>5} ms {row.p99_ms:>5} ms"
        print(f"{row.case!s:32} {row.generations:>10} {row.moved:>6} {row.use:>8.2%} {waits} {row.worst:>6}")


if __name__ == "__main__":
    main()
