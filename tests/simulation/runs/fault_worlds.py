"""Seeded worlds in which HighLevel fails for minutes, refuses tokens, or fails on some e-mails; and with stepped clocks."""

from random import Random
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.faults import HighLevelFaults
from tests.lab.workload.lead_kinds import lead_kinds
from tests.lab.workload.workload import flood, of_kinds
from tests.simulation.faults.clock_steps import ClockStep, draw_big_step
from tests.simulation.faults.highlevel_faults import draw_long_outage, draw_refusal
from tests.simulation.faults.kills import draw_kill
from tests.simulation.world.broker import Faults
from tests.simulation.world.network import Network

from .play import play
from .run import Run, World

steady_ms: Final = 500_000  # leads come in for so long
steady_network: Final = Network(out=(5, 500), back=(5, 200))


def highlevel_outages(seed: int) -> Run:
    """Play outages and refused tokens, of one location or of all; in every other world workers come and go."""
    random = Random(f"{seed} ailing")
    kinds = random.choices(list(lead_kinds), k=30)
    workload = of_kinds(seed, kinds, locations=3, spread_ms=60_000, misrouted=0)
    locations = sorted({lead.location for lead in workload.leads})
    outages = [draw_long_outage(random, locations) for _ in range(random.choice([0, 1, 1, 2]))]
    refused = random.sample(locations, k=random.choice([0, 1]) if outages else 1)
    refusals = [draw_refusal(random, location) for location in refused]
    faults = HighLevelFaults(outages=tuple(outages), refusals=tuple(refusals))
    world = World(Rate(90), random.choice([1, 50]), steady_network, faults, skew_ms=random.choice([0, 400]))
    return play(workload, [draw_kill(random) for _ in range(random.choice([0, 2]))], world)


def poisoned_leads(seed: int) -> Run:
    """Play leads whose e-mails make each search fail, while others of their locations come and are found."""
    random = Random(f"{seed} poisoned")
    kinds = ["poisoned"] * random.randint(1, 3) + ["lacks_contact"] * 150
    workload = of_kinds(seed, kinds, 2, steady_ms, misrouted=0)
    return play(workload, world=World(Rate(random.choice([22, 90])), random.choice([1, 8, 50]), steady_network))


def stepped_clocks(seed: int) -> Run:
    """Play a busy worker whose wall clock jumps forward or back.

    Each jump may stop the calls for 30 s, so the leads' calls must take less than 60 s for a Sync to be in time.
    """
    random = Random(f"{seed} stepped")
    steps = (
        ClockStep(random.randint(500, 9_000), draw_big_step(random)),
        ClockStep(random.randint(40_000, 55_000), draw_big_step(random)),
    )
    network = Network(out=(5, random.choice([60, 2_000, 7_000])), back=(5, 500))
    faults = HighLevelFaults(60_000, 0.0, random.choice([0.0, 0.2]))
    return play(flood(seed, leads=25), world=World(Rate(9), 1, network, faults, Faults(slow=0), steps))
