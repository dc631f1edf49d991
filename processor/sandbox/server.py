"""The simulator put together, and on a port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from processor.sandbox.admin import Admin
from processor.sandbox.asgi import Clock, Manner, Sandbox, clock
from processor.sandbox.directory import Directory
from processor.sandbox.faults import Faults
from processor.sandbox.limiter import Limits


def app(
    directory: Directory,
    *,
    limits: Limits | None = None,
    faults: Faults | None = None,
    manner: Manner | None = None,
    now: Clock | None = None,
) -> Sandbox:
    """An ASGI application; `now` gives µs since 1970 that never step (a virtual clock in simulations)."""
    sandbox = Sandbox(
        directory, limits or Limits(), faults or Faults(directory.seed), manner or Manner(), now or clock()
    )
    sandbox.admin = Admin(sandbox).router()
    return sandbox


async def serve(
    sandbox: Sandbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    started: Callable[[int], None] = lambda port: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Until `stop` is set, or cancelled; `started` hears the port once it listens (0: a free one). Signals are the caller's."""
    listener = _listener(host, port)
    config = uvicorn.Config(
        sandbox,
        http=_protocol(),
        ws="none",
        lifespan="off",
        access_log=False,  # it would hold contact ids, and e-mails of wrong calls
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,  # longer than any client keeps an idle connection: no call meets one that is just being closed
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
            connection.transport.abort()  # hanging calls must not hold the end up
        await serving


@asynccontextmanager
async def running(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves inside the caller's event loop; gives the base URL."""
    stop = asyncio.Event()
    chosen: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(sandbox, host=host, port=port, started=chosen.set_result, stop=stop))
    try:
        await asyncio.wait((serving, chosen), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield f"http://{host}:{chosen.result()}"
    finally:
        stop.set()
        await serving


def _listener(host: str, port: int) -> socket.socket:
    """asyncio sets TCP_NODELAY only where the protocol is named, as `socket.create_server` doesn't: 40 ms a call on loopback."""
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
    """uvicorn's protocol, but each request's scope also has the connection: to break it is a part of the simulation."""

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
