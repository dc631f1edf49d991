"""The simulator on a real port: faults that only a connection can have."""

import asyncio

import httpx
import pytest

from processor.sandbox.asgi import Sandbox
from processor.sandbox.directory import Directory
from processor.sandbox.faults import Fault
from processor.sandbox.server import create_app, running_sandbox, serve_sandbox
from tests.unit.sandbox.conftest import headers, jane_id

pytestmark = pytest.mark.asyncio
jane = f"/contacts/{jane_id}"


async def error_of(sandbox: Sandbox, http: httpx.AsyncClient, fault: Fault) -> str:
    """Return the name of the client's error."""
    sandbox.faults.add(fault)
    with pytest.raises(httpx.HTTPError) as raised:
        await http.get(jane)
    return type(raised.value).__name__


async def test_connections_break_in_every_way(directory: Directory) -> None:
    sandbox = create_app(directory)
    async with running_sandbox(sandbox) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=5) as http:
        assert 200 == (await http.get(jane)).status_code
        assert "ReadError" == await error_of(sandbox, http, Fault("reset", times=1))
        assert "ReadError" == await error_of(sandbox, http, Fault("lost", times=1))
        assert "RemoteProtocolError" == await error_of(sandbox, http, Fault("truncated", times=1))

        http.timeout = httpx.Timeout(0.05)
        assert "ReadTimeout" == await error_of(sandbox, http, Fault("hang", times=1))

        http.timeout = httpx.Timeout(5)
        sandbox.faults.add(Fault("endless", times=1))
        received = 0
        async with http.stream("GET", jane) as response:
            async for part in response.aiter_bytes():
                received += len(part)
                if received > 50_000:
                    break
        assert received > 50_000

        assert 200 == (await http.get(jane)).status_code
    statuses = sandbox.gate.report()["locations"]["here"]["statuses"]

    assert {"0": 5, "200": 2} == statuses


@pytest.mark.parametrize("fault", [Fault("hang"), Fault("slow", delay_ms=60_000)], ids=["hanging", "slow"])
async def test_it_stops_while_calls_wait(directory: Directory, fault: Fault) -> None:
    sandbox = create_app(directory)
    sandbox.faults.add(fault)
    async with asyncio.timeout(1.5), httpx.AsyncClient(headers=headers) as http:
        async with running_sandbox(sandbox) as url:
            call = asyncio.create_task(http.get(url + jane))
            while not sandbox.gate.logs:  # noqa: ASYNC110  # the sandbox has no such event, and needs none
                await asyncio.sleep(0)

        with pytest.raises(httpx.TransportError):
            await call


async def test_a_taken_port_is_an_error(directory: Directory) -> None:
    async with running_sandbox(create_app(directory)) as url:
        with pytest.raises(OSError, match="in use"):
            await serve_sandbox(create_app(directory), port=int(url.rsplit(":", 1)[1]))
