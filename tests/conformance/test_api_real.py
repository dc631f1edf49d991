"""The client passes the suite of the port, against the sandbox over loopback."""

import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import pytest

from processor.engine.client import Client
from processor.engine.tokens import Tokens
from processor.highlevel.requests import GetContact
from processor.highlevel.responses import AuthProblem, Gone, Refused, ResponseOutcome, Unavailable
from processor.sandbox.asgi import Sandbox
from processor.sandbox.directory import Directory, LocationAccess
from processor.sandbox.faults import Fault
from processor.sandbox.limiter import RateLimits
from processor.sandbox.server import create_app, running_sandbox
from tests.conformance.api_suite import ApiStage, ApiSuite, Disturbance, contact_id, email, limit, location

pytestmark = pytest.mark.slow  # each test starts a server

faults: Final[dict[Disturbance, list[Fault]]] = {
    "429": [
        Fault("status", status=429, retry_after="seconds", retry_after_s=3, times=2),
        Fault("status", status=429, retry_after="date", retry_after_s=3, times=2),
        Fault("status", status=429),
    ],
    "5xx": [Fault("status", status=502)],
    "foreign 403": [Fault("cloudflare")],
    "reset": [Fault("reset")],
    "hang": [Fault("hang")],
    "lost": [Fault("lost")],
}


class SandboxStage(ApiStage):
    def __init__(self, sandbox: Sandbox, client: Client) -> None:
        self.sandbox, self.api = sandbox, client

    def now(self) -> int:
        return now_ms()

    def arrivals(self) -> int:
        return sum(len(record.entries()) for record in self.sandbox.gate.logs.values())

    def disturb(self, how: Disturbance) -> None:
        for fault in faults[how]:
            self.sandbox.faults.add(fault)

    def refuse_token(self, why: AuthProblem) -> None:
        self.sandbox.directory.access = LocationAccess(frozenset({"another"}), cast(Any, why))  # the texts are the same


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class TestClient(ApiSuite):
    @pytest.fixture
    async def stage(self) -> AsyncIterator[SandboxStage]:
        directory = Directory(tokens={"sandbox": location})
        directory.add(location, {"id": contact_id, "email": email})
        sandbox = create_app(directory, limits=RateLimits(per_window=limit))
        async with running_sandbox(sandbox) as url:
            async with Client(Tokens.one("sandbox"), now_ms, url, respond_within_ms=200) as client:
                yield SandboxStage(sandbox, client)

    @pytest.mark.parametrize(("status", "expected"), [(404, Gone()), (408, Refused(408))])
    async def test_other_statuses_of_a_get(self, stage: SandboxStage, status: int, expected: ResponseOutcome) -> None:
        stage.sandbox.faults.add(Fault("status", status=status, message="Contact not found"))

        assert expected == (await stage.call(GetContact(location, contact_id))).outcome

    async def test_a_body_that_is_no_json_is_unavailable(self, stage: SandboxStage) -> None:
        stage.sandbox.faults.add(Fault("malformed"))

        assert Unavailable("not a search's reply") == (await stage.search()).outcome
