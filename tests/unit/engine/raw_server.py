"""A server of raw sockets that counts arrivals and misbehaves, and a client that calls it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson
import pytest

from processor.engine.client import Client
from processor.engine.tokens import Tokens
from processor.highlevel.requests import Call, GetContact, LeadQuestion, Question, QuestionKind, Search
from processor.highlevel.responses import ResponseOutcome
from processor.ratelimit.budget import Permit

start = 1_700_000_000_000
token = "pit-canary-secret"
email = "canary@example.com"
empty = {"contacts": [], "total": 0}


@dataclass
class Arrival:
    """A request as it came over the wire."""

    line: str
    headers: Mapping[str, str]
    body: bytes


Script = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Counts arrivals and responds by `script`, which gets one request at a time."""

    script: Script
    port: int = 0
    connections: int = 0
    received: int = 0  # bytes, also those that are no whole request
    arrivals: list[Arrival] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # a connection is over
    open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if task := asyncio.current_task():
            self.open[task] = writer
        try:
            while arrival := await self.read(reader):
                self.arrivals.append(arrival)
                await self.script(self, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.ended.set()

    async def stop(self) -> None:
        for writer in self.open.values():
            writer.transport.abort()
        await asyncio.gather(*self.open)

    async def read(self, reader: asyncio.StreamReader) -> Arrival | None:
        with suppress(asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.received += len(head)
            line, *lines = head.decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.received += len(body)
            return Arrival(line, headers, body)
        return None


def http_reply(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def replies(status: str, reply: object, *headers: str, close: bool = False) -> Script:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http_reply(status, reply if isinstance(reply, bytes) else orjson.dumps(reply), *headers))
        await writer.drain()
        if close:
            writer.close()

    return script


async def hangs(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def resets(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def closes(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def never_ends(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        await writer.drain()


async def trickles(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never idle for long, never done."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


def cut_short(head: bytes) -> Script:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        writer.close()

    return script


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Server]:
    server = Server(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=500)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.stop()


def real_time() -> int:
    return start + int(asyncio.get_running_loop().time() * 1_000)


@asynccontextmanager
async def client_of(
    server: Server,
    now: Callable[[], int] = real_time,
    tokens: Tokens | None = None,
    scheme: str = "http",
    respond_within_ms: int = 8_000,
) -> AsyncIterator[Client]:
    base = f"{scheme}://127.0.0.1:{server.port}/"
    tokens = tokens or Tokens.one(token)
    async with Client(tokens, now, base, respond_within_ms=respond_within_ms, body_limit=1_000_000) as client:
        yield client


def search(send_within_ms: int = 2_000) -> Call:
    now = real_time()
    question = Question(QuestionKind.EMAIL, email)
    permit = Permit("loc-1", 0, now, now + send_within_ms)
    return Call(permit, Search("loc-1", (question,)), (LeadQuestion("lead-1", question),))


def get(send_within_ms: int = 2_000, contact_id: str = "c-1") -> Call:
    now = real_time()
    return Call(Permit("loc-1", 0, now, now + send_within_ms), GetContact("loc-1", contact_id), ())


Make = Callable[..., Call]
both = pytest.mark.parametrize("make", [search, get])


async def one(script: Script, call: Call, respond_within_ms: int = 8_000) -> tuple[ResponseOutcome, int]:
    """Return the outcome of one call, and the number of requests that arrived."""
    async with serving(script) as server, client_of(server, respond_within_ms=respond_within_ms) as client:
        response = await client.call(call)
        return response.outcome, len(server.arrivals)


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
