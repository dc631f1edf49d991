"""A worker's HTTP pages, requested over a real socket of this machine."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from processor.engine.health import PortTaken, bind_port, health_app, serve_health

T = TypeVar("T")
Get = Callable[[str], Awaitable[tuple[int, str]]]


async def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a plain HTTP/1.1 request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


def served(request: Callable[[Get], Awaitable[T]], reason: str | None = None) -> T:
    """Serve, send a request, stop."""

    async def session() -> T:
        stop = asyncio.Event()
        with bind_port(0) as listener:
            port = listener.getsockname()[1]
            serving = asyncio.create_task(
                serve_health(health_app(lambda: b"hydrant_fenced_total 1.0\n", lambda: reason), listener, stop)
            )
            response = await request(lambda path: get(port, path))
            stop.set()
            await serving
        return response

    return asyncio.run(asyncio.wait_for(session(), 10))


def test_a_worker_that_runs_is_healthy() -> None:
    assert (200, '{"healthy":true}') == served(lambda get: get("/healthz"), "not joined the group yet")


def test_a_worker_that_joined_is_ready() -> None:
    assert (200, '{"ready":true,"reason":null}') == served(lambda get: get("/readyz"))


def test_a_worker_that_is_not_ready_says_why() -> None:
    status, body = served(lambda get: get("/readyz"), "not joined the group yet")

    assert (503, {"ready": False, "reason": "not joined the group yet"}) == (status, json.loads(body))


def test_metrics_are_prometheus_text() -> None:
    assert (200, "hydrant_fenced_total 1.0\n") == served(lambda get: get("/metrics"))


def test_nothing_else_is_served() -> None:
    assert (404, "Not Found") == served(lambda get: get("/"))


def test_the_worker_keeps_its_signal_handlers() -> None:
    """uvicorn would install handlers of its own, and SIGTERM would no longer drain."""

    async def handler(get: Get) -> object:
        await get("/healthz")
        return signal.getsignal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) == served(handler)


@pytest.mark.parametrize(
    "sent", [b"GET /healthz HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\nhost: worker\r\n\r\n"], ids=["half", "unread"]
)
def test_a_slow_client_does_not_hold_up_the_end(sent: bytes) -> None:
    """Half a request, or a response that the client doesn't read: stopping is bounded all the same."""

    async def session() -> float:
        stop = asyncio.Event()
        with bind_port(0) as listener:
            serving = asyncio.create_task(
                serve_health(health_app(lambda: b"0" * 50_000_000, lambda: None), listener, stop)
            )
            _, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1], limit=1)
            writer.write(sent)
            await get(listener.getsockname()[1], "/healthz")  # by now the other request is there
            since = time.monotonic()
            stop.set()
            await serving
            writer.transport.abort()
        return time.monotonic() - since

    assert asyncio.run(asyncio.wait_for(session(), 20)) < 3


def test_cancelled_it_leaves_the_port() -> None:
    async def session() -> int:
        with bind_port(0) as listener:
            port: int = listener.getsockname()[1]
            serving = asyncio.create_task(
                serve_health(health_app(lambda: b"", lambda: None), listener, asyncio.Event())
            )
            await get(port, "/healthz")
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
        return port

    with bind_port(asyncio.run(session())):
        pass


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as raised:
            asyncio.run(serve_health(health_app(lambda: b"", lambda: None), port, asyncio.Event()))

    assert f"HYDRANT_HTTP_PORT: can't listen on port {port}: address already in use" == str(raised.value)
