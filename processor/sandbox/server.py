"""Build the simulator and serve it on a port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from processor.sandbox.admin import AdminApi
from processor.sandbox.asgi import MicrosecondClock, ResponseStyle, Sandbox, steady_clock
from processor.sandbox.directory import Directory
from processor.sandbox.faults import FaultTable
from processor.sandbox.limiter import RateLimits


def create_app(
    directory: Directory,
    *,
    limits: RateLimits | None = None,
    faults: FaultTable | None = None,
    style: ResponseStyle | None = None,
    now: MicrosecondClock | None = None,
) -> Sandbox:
    """Return an ASGI application. `now` gives µs since 1970 that never step: a virtual clock in simulations."""
    faults, now = faults or FaultTable(directory.seed), now or steady_clock()
    sandbox = Sandbox(directory, limits or RateLimits(), faults, style or ResponseStyle(), now)
    sandbox.admin = AdminApi(sandbox).router()
    return sandbox


async def serve_sandbox(
    sandbox: Sandbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    started: Callable[[int], None] = lambda port: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set or the task is cancelled. Call `started` with the port once it listens (0: a free port).

    The caller handles signals.
    """
    listener = _listener(host, port)
    config = uvicorn.Config(
        sandbox,
        http=_protocol(),
        ws="none",
        lifespan="off",
        access_log=False,  # it would hold contact ids, and e-mails of wrong calls
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,  # longer than any client keeps an idle connection: no call meets a closing one
        backlog=2_048,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="sandbox")
    try:
        await _first(serving, server.ready)
        if not serving.done():
            started(listener.getsockname()[1])
        await _first(serving, stop or asyncio.Event())
    finally:
        server.should_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # hanging calls must not delay the end
        await serving


@asynccontextmanager
async def running_sandbox(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve inside the caller's event loop and yield the base URL."""
    stop = asyncio.Event()
    chosen: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_sandbox(sandbox, host=host, port=port, started=chosen.set_result, stop=stop))
    try:
        await asyncio.wait((serving, chosen), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield f"http://{host}:{chosen.result()}"
    finally:
        stop.set()
        await serving


def _listener(host: str, port: int) -> socket.socket:
    """Return a bound socket that names its protocol.

    asyncio sets TCP_NODELAY only then. `socket.create_server` names none, which costs 40 ms a call on loopback.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _protocol() -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, extended: each request's scope holds its connection, so that a fault can break it."""

    def connection_made(self: Any, transport: asyncio.BaseTransport) -> None:  # Any: h11's or httptools', as installed
        self.app_state = {**self.app_state, "transport": transport}
        AutoHTTPProtocol.connection_made(self, transport)

    return cast(type[asyncio.Protocol], type("Breakable", (AutoHTTPProtocol,), {"connection_made": connection_made}))


async def _first(serving: asyncio.Task[None], event: asyncio.Event) -> None:
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
