"""A worker's HTTP pages: `/healthz` while it runs, `/readyz` once it joined and until it stops, and `/metrics`."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_close_within_s: Final = 1  # an open connection must not delay a worker that drains


class PortTaken(Exception):
    """Exit 2: HYDRANT_HTTP_PORT can't be listened on. The message says why."""


def health_app(exposition: Callable[[], bytes], unready: Callable[[], str | None]) -> Starlette:
    """Return the three pages. `unready` returns why the worker isn't ready, or None when it is."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"healthy": True})

    async def readyz(_: Request) -> Response:
        reason = unready()
        return JSONResponse({"ready": reason is None, "reason": reason}, status_code=200 if reason is None else 503)

    async def metrics(_: Request) -> Response:
        return Response(exposition(), headers={"content-type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


def bind_port(port: int) -> socket.socket:
    """Bind the port on all addresses, with IPv6 where there is any; 0 means any free port. Raises PortTaken."""
    try:
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise
            return socket.create_server(("", port))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "unavailable"
        raise PortTaken(f"HYDRANT_HTTP_PORT: can't listen on port {port}: {why.lower()}") from None


async def serve_health(app: Starlette, port: int | socket.socket, stop: asyncio.Event) -> None:
    """Serve in this loop until `stop`, then close within about a second. Raises PortTaken."""
    with bind_port(port) if isinstance(port, int) else port as listener:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_close_within_s,
            timeout_keep_alive=30,
            limit_concurrency=100,  # probes and scrapers, not customers
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="health")
        stopping = asyncio.create_task(stop.wait(), name="health until stop")
        try:
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the worker handles signals itself
