"""The simulator's HighLevel passes the suite of the port."""

from random import Random
from typing import Any, Final, cast

import pytest

from processor.highlevel.responses import AuthProblem
from tests.conformance.api_suite import ApiStage, ApiSuite, Disturbance, contact_id, email, limit, location
from tests.conformance.fakes import LivingProcess, virtual_loop
from tests.lab.faults import HighLevelFaults, Outage, Refusal
from tests.lab.workload.contact import Contact
from tests.simulation.world.highlevel import Api, Server
from tests.simulation.world.loop import VirtualLoop
from tests.simulation.world.trace import Trace

for_long_ms: Final = 10**9


class VirtualClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop

    def now(self) -> int:
        return self.loop.ms

    def settled_at(self) -> int:
        return 0


class FakeApiStage(ApiStage):
    def __init__(self) -> None:
        loop = virtual_loop()
        people = {contact_id: Contact(contact_id, location, {"email": email})}
        self.server = Server(loop, Random(1), Trace(loop), limit, people)
        self.clock = VirtualClock(loop)
        self.api = Api(self.server, LivingProcess("worker"), self.clock)

    def now(self) -> int:
        return self.clock.now()

    def arrivals(self) -> int:
        return len(self.server.arrivals)

    def disturb(self, how: Disturbance) -> None:
        away = "403" if how == "foreign 403" else how
        self.server.highlevel_faults = HighLevelFaults(outages=(Outage(0, for_long_ms, how=cast(Any, away)),))

    def refuse_token(self, why: AuthProblem) -> None:
        self.server.highlevel_faults = HighLevelFaults(refusals=(Refusal(location, 0, cast(Any, why)),))


class TestFakeApi(ApiSuite):
    @pytest.fixture
    async def stage(self) -> ApiStage:
        return FakeApiStage()
