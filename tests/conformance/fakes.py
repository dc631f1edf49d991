"""Surroundings for the fakes of the simulator: a living process, and an undisturbed broker."""

import asyncio
from random import Random

from tests.simulation.world.broker import Faults, Kafka
from tests.simulation.world.loop import VirtualLoop
from tests.simulation.world.trace import Trace


class LivingProcess:
    """A process that nothing happens to."""

    dead, frozen, lands, deciding = False, False, True, 0

    def __init__(self, name: str) -> None:
        self.name = name
        self.aside: list[asyncio.Handle] = []

    def step(self) -> None: ...
    def die_here(self) -> None: ...


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def undisturbed_kafka() -> Kafka:
    return Kafka(virtual_loop(), Random(1), Trace(virtual_loop()), Faults())
