"""Measure the cost of rebalances: use of the budget and waits of Syncs while workers restart.

The real runner and supervisor run on virtual time.
"""

import asyncio
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
share: Final = 0.25  # of the budget that Syncs need
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
    """The figures of one run."""

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


def measured(case: Case, seconds: int, seed: int = 0) -> Row:
    """Play one run, and measure the calls that left and the waits of Syncs."""
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
        max(map(busiest, grouped((one.location, float(one.at)) for one in run.server.arrivals).values())),
        len(run.server.arrivals),
    )


def saturated(case: Case, seconds: int, seed: int) -> Run:
    ends = warm_ms + seconds * 1000
    locations = [location for where in range(partitions) for location in locations_at_home(1, where, partitions)]
    leads: list[WorkloadLead] = []
    for location in locations:
        leads += backlog(seed, location, len(leads), ends)
        leads += syncs(seed, location, len(leads), ends)
    owned = tuple(range(partitions))
    workload = Workload(seed, leads, raw_names=frozenset(locations), partitions=partitions, owned=owned)
    world = World(probe_size=1, network=round_trip, kafka_faults=Faults(slow=0.0))
    run = prepare(workload, world, faults=restarts(case, seed, ends))
    run.group = Group(run.kafka, owned)
    return finish(run, restart_workers(GroupRun(run, run.group), ends))


async def restart_workers(group: GroupRun, ends: int) -> None:
    group.schedule()
    await asyncio.sleep(ends / 1000)


def restarts(case: Case, seed: int, ends: int) -> Sequence[GroupFault]:
    random = Random(f"{seed} restarts")
    faults = [GroupFault(0, "starts", who) for who in range(workers)]
    if case.every_s:
        each = case.every_s * 1000
        for number, at in enumerate(range(warm_ms, ends - each // 2, each)):  # at any time between two heartbeats
            at += random.randint(each // 4, each // 2)
            faults.append(GroupFault(at, case.how, number % workers, back_after_ms, lands=random.random() < 0.5))
    return as_static_members(faults) if case.static else faults


def backlog(seed: int, location: str, first: int, ends: int) -> Iterator[WorkloadLead]:
    """Make leads that need one call each, and are there before the budget can serve them."""
    for number in range((ends + ahead_ms) * per_window // 10_000):
        lead = WorkloadLead(seed, first + number, location, True, max(0, number * 10_000 // per_window - ahead_ms))
        contact = lead.contact()
        lead.change(1, {"email": contact.fields["email"]}, contact)
        yield lead


def syncs(seed: int, location: str, first: int, ends: int) -> Iterator[WorkloadLead]:
    """Make Syncs that need one call each, at random times."""
    random, at = Random(f"{seed} {location} asked"), 0.0
    while (at := at + random.expovariate(share * per_window / 10_000)) < ends:
        lead = WorkloadLead(seed, first, location, True, int(at))
        contact = lead.contact()
        lead.set_truth(1, {name: contact.fields[name] for name in ("email", "timezone")}, contact)
        lead.sync(f"request-{first}", lead=lead.snapshot(1))
        first += 1
        yield lead


def waits(run: Run, begins: int, ends: int) -> Iterator[int]:
    """Return the ms from each Sync to its call, which may not have left by the end."""
    left = {ask.partition(" ")[0]: one.at for one in reversed(run.server.sent) for ask in one.asks}
    for lead in run.workload.leads:
        if lead.truth.requests and begins <= (at := start_ms + lead.begins) < ends:
            yield left.get(lead.id, ends) - at
