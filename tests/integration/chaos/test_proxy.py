"""The network between a worker and HighLevel, before a server that answers in capitals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tests.integration.chaos.proxy import Proxy, proxy

within_s: Final = 5.0
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Server:
    """It responds when the test lets it."""

    may: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    connected: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    left: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.connected.put(None)
        with suppress(OSError):
            while line := await reader.readline():
                await self.arrived.put(line)
                await self.may.wait()
                writer.write(line.upper())
                await writer.drain()
        await self.left.put(None)
        writer.close()


@asynccontextmanager
async def between() -> AsyncIterator[tuple[Server, Proxy, Ends]]:
    """A server, the way to it, and a connection that has been used."""
    there = Server()
    there.may.set()
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    try:
        async with proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as way, asyncio.timeout(within_s):
            ends = await connect(way)
            assert await ask(ends, b"hello\n") == b"HELLO\n"
            assert await there.arrived.get() == b"hello\n"
            yield there, way, ends
            ends[1].close()
    finally:
        server.close()


async def connect(way: Proxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", int(way.url.rpartition(":")[2]))


async def ask(ends: Ends, line: bytes) -> bytes:
    """The answer; nothing when the connection ended."""
    ends[1].write(line)
    return await answer(ends)


async def answer(ends: Ends) -> bytes:
    try:
        return await ends[0].readline()
    except ConnectionError:
        return b""


async def until_held(way: Proxy) -> None:
    while not way.holds:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_it_passes_on_what_it_gets_and_who_leaves() -> None:
    async with between() as (there, _, ends):
        first = await ask(ends, b"one\n"), await ask(ends, b"two\n")
        ends[1].close()
        await there.left.get()

        assert (b"ONE\n", b"TWO\n") == first


async def test_a_request_that_a_cut_holds_never_arrives() -> None:
    """Its connection is lost, too; a new one is as good as ever."""
    async with between() as (there, way, ends):
        way.cut()
        ends[1].write(b"lost\n")
        await until_held(way)
        way.heal()
        ended = await answer(ends)
        await there.left.get()
        again = await ask(await connect(way), b"again\n")

        assert (b"", b"AGAIN\n") == (ended, again)
        assert [b"again\n"] == [there.arrived.get_nowait() for _ in range(there.arrived.qsize())]


async def test_an_answer_that_a_cut_holds_is_lost_though_the_request_took_effect() -> None:
    async with between() as (there, way, ends):
        there.may.clear()
        ends[1].write(b"effect\n")
        arrived = await there.arrived.get()
        way.cut()
        there.may.set()
        await until_held(way)
        way.heal()

        assert (b"effect\n", b"") == (arrived, await answer(ends))


async def test_a_stall_delivers_what_it_held() -> None:
    async with between() as (there, way, ends):
        way.cut()
        ends[1].write(b"late\n")
        await until_held(way)
        before = there.arrived.qsize()
        way.heal(deliver=True)

        assert (0, b"LATE\n") == (before, await answer(ends))


async def test_a_connection_that_was_silent_during_a_cut_goes_on() -> None:
    async with between() as (_, way, ends):
        way.cut()
        way.heal()

        assert b"STILL\n" == await ask(ends, b"still\n")


async def test_a_connection_made_during_a_cut_is_taken_and_held() -> None:
    """Behave as a cut network: the kernel doesn't know, and sent bytes are lost."""
    async with between() as (there, way, _):
        await there.connected.get()
        way.cut()
        late = await connect(way)
        late[1].write(b"lost\n")
        await until_held(way)
        way.heal()

        assert b"" == await answer(late)
        assert 0 == there.arrived.qsize()


async def test_a_client_that_leaves_during_a_cut_has_left_when_it_ends() -> None:
    async with between() as (there, way, ends):
        way.cut()
        ends[1].close()
        await until_held(way)
        way.heal(deliver=True)
        await there.left.get()

        assert 0 == there.arrived.qsize()


async def test_without_a_server_no_client_is_connected() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    async with proxy(target) as way, asyncio.timeout(within_s):
        assert b"" == await ask(await connect(way), b"nobody\n")
