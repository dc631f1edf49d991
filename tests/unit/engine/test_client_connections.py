"""A call leaves once, in time, or not at all; and its connection fails in every way."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from processor.engine.client import new_socket
from processor.highlevel.responses import Lost, Unsent
from tests.unit.engine.raw_server import (
    Make,
    Script,
    Server,
    both,
    client_of,
    closes,
    empty,
    get,
    hangs,
    never_ends,
    one,
    real_time,
    replies,
    resets,
    search,
    serving,
    trickles,
    unused_port,
)


@both
@pytest.mark.parametrize("misbehaves", [resets, closes])
async def test_a_reset_after_the_request_makes_no_second_one(make: Make, misbehaves: Script) -> None:
    """One slot, one request on the wire."""
    assert (Lost("reset"), 1) == await one(misbehaves, make())


@both
async def test_a_reset_of_a_kept_connection_makes_no_second_request(make: Make) -> None:
    """Here aiohttp would send it again by default."""

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (replies("200 OK", empty) if len(server.arrivals) == 1 else resets)(server, reader, writer)

    async with serving(script) as server, client_of(server) as client:
        await client.call(search())
        response = await client.call(make())

    assert (Lost("reset"), 2, 1) == (response.outcome, len(server.arrivals), server.connections)


@both
async def test_a_kept_connection_that_the_server_closed_meanwhile(make: Make) -> None:
    """The next call takes a new one, and arrives once."""
    async with serving(replies("200 OK", empty, close=True)) as server, client_of(server) as client:
        await client.call(search())
        await asyncio.sleep(0.02)
        response = await client.call(make())

    assert (200, 2, 2) == (response.status, len(server.arrivals), server.connections)


async def test_connections_are_kept() -> None:
    async with serving(replies("200 OK", empty)) as server, client_of(server) as client:
        for _ in range(3):
            await client.call(search())

    assert (3, 1) == (len(server.arrivals), server.connections)


@both
@pytest.mark.parametrize("script", [hangs, trickles])
async def test_a_response_that_is_not_whole_in_time_is_lost(make: Make, script: Script) -> None:
    """It is lost by the send deadline plus the time for a response, and its connection is closed."""
    async with serving(script) as server, client_of(server, respond_within_ms=60) as client:
        before = real_time()
        response = await client.call(make(send_within_ms=40))
        took = real_time() - before
        await asyncio.wait_for(server.ended.wait(), 1)

    assert (Lost("timeout"), None, 1) == (response.outcome, response.status, len(server.arrivals))
    assert 90 <= took <= 1_000


@both
async def test_an_endless_body_is_bounded(make: Make) -> None:
    async with serving(never_ends) as server, client_of(server) as client:
        response = await client.call(make())
        await asyncio.wait_for(server.ended.wait(), 1)

    assert (Lost("endless"), None, 1) == (response.outcome, response.status, len(server.arrivals))


@both
async def test_a_call_that_comes_late_is_not_sent(make: Make) -> None:
    async with serving(hangs) as server, client_of(server) as client:
        response = await client.call(make(send_within_ms=-1))

    assert (Unsent("late"), None, 0) == (response.outcome, response.status, server.connections)


@pytest.mark.parametrize(("make", "reads_in_time"), [(get, 1), (search, 1), (search, 2)])
async def test_a_connection_that_is_ready_too_late_carries_nothing(make: Make, reads_in_time: int) -> None:
    """The deadline passes while connecting, or just before the body is written: not a byte has left."""
    reads = 0

    def now() -> int:
        nonlocal reads
        reads += 1
        return real_time() if reads <= reads_in_time else real_time() + 10_000

    async with serving(hangs) as server, client_of(server, now) as client:
        response = await client.call(make())
        await asyncio.wait_for(server.ended.wait(), 1)

    assert (Unsent("late"), None, 1, 0) == (response.outcome, response.status, server.connections, server.received)


@both
async def test_a_kept_connection_carries_nothing_too_late_either(make: Make) -> None:
    late = False

    def now() -> int:
        return real_time() + 10_000 * late

    async with serving(replies("200 OK", empty)) as server, client_of(server, now) as client:
        await client.call(search())
        call = make()
        received, late = server.received, True
        response = await client.call(call)

    assert (Unsent("late"), received) == (response.outcome, server.received)


@asynccontextmanager
async def no_tls(greeting: bytes) -> AsyncIterator[Server]:
    """Send each connection the greeting, and then nothing."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield Server(hangs, listening.sockets[0].getsockname()[1])
    listening.close()


@both
async def test_connecting_counts_against_the_deadline(make: Make) -> None:
    """A TLS handshake that hangs ends with the time to send, not with the time for a response."""
    async with no_tls(b"") as server, client_of(server, scheme="https") as client:
        before = real_time()
        response = await client.call(make(send_within_ms=50))
        took = real_time() - before

    assert Unsent("connect") == response.outcome
    assert 45 <= took <= 1_000  # far from the 8 s or more that would be wrong


@both
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_connection_that_fails_in_time_is_a_failure(make: Make, scheme: str) -> None:
    """So it counts as an attempt, and the next one waits."""
    async with no_tls(b"SSH-2.0-OpenSSH\r\n") as server:
        server.port = server.port if scheme == "https" else unused_port()
        async with client_of(server, scheme=scheme) as client:
            response = await client.call(make())

    assert (Lost("tls" if scheme == "https" else "connect"), None) == (response.outcome, response.status)


async def test_hanging_calls_delay_no_other() -> None:
    """No pool limit is shared: 150 calls hang, one more gets its response at once."""
    all_hang = asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "last" in server.arrivals[-1].line:
            return await replies("404 Not Found", b"")(server, reader, writer)
        if len(server.arrivals) == 150:
            all_hang.set()
        return await hangs(server, reader, writer)

    async with serving(script) as server, client_of(server) as client:
        hanging = [asyncio.create_task(client.call(get())) for _ in range(150)]
        await asyncio.wait_for(all_hang.wait(), 2)
        response = await asyncio.wait_for(client.call(get(contact_id="last")), 0.5)
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)

    assert (response.status, server.connections) == (404, 151)
    assert all(task.cancelled() for task in hanging)


async def test_the_kernel_gives_up_bytes_that_we_gave_up() -> None:
    """Bytes that aren't sent or acknowledged don't arrive once a cut network heals."""
    with new_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ())) as made:
        linger = made.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        unacknowledged = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert (struct.pack("ii", 1, 0), 8_000) == (linger, unacknowledged)


async def test_a_connection_that_is_given_up_ends_with_a_reset() -> None:
    """Nothing is flushed to the server afterwards."""
    reset = asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError:
            reset.set()

    async with serving(script) as server, client_of(server, respond_within_ms=20) as client:
        await client.call(search(send_within_ms=20))
        await asyncio.wait_for(reset.wait(), 1)

    assert reset.is_set()
