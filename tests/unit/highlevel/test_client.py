"""The client against a server of raw sockets that counts what arrives, and misbehaves."""

import asyncio
import gc
import gzip
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import orjson
import pytest

from processor.engine.client import Client, new_socket
from processor.engine.tokens import Tokens, fingerprint
from processor.highlevel.requests import Call, GetContact, LeadQuestion, Question, QuestionKind, Search
from processor.highlevel.responses import (
    Found,
    Lost,
    Refused,
    Response,
    ResponseOutcome,
    Unauthorized,
    Unavailable,
    Unsent,
)
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
    """Counts arrivals, answers by `script`, which gets one request at a time."""

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


def response(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(status: str, reply: object, *headers: str, close: bool = False) -> Script:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, reply if isinstance(reply, bytes) else orjson.dumps(reply), *headers))
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
    answer_within_ms: int = 8_000,
) -> AsyncIterator[Client]:
    base = f"{scheme}://127.0.0.1:{server.port}/"
    tokens = tokens or Tokens.one(token)
    async with Client(tokens, now, base, answer_within_ms=answer_within_ms, body_limit=1_000_000) as client:
        yield client


def search(send_within_ms: int = 2_000) -> Call:
    now = real_time()
    question = Question(QuestionKind.EMAIL, email)
    return Call(
        Permit("loc-1", 0, now, now + send_within_ms), Search("loc-1", (question,)), (LeadQuestion("lead-1", question),)
    )


def get(send_within_ms: int = 2_000, contact_id: str = "c-1") -> Call:
    now = real_time()
    return Call(Permit("loc-1", 0, now, now + send_within_ms), GetContact("loc-1", contact_id), ())


both = pytest.mark.parametrize("make", [search, get])
Make = Callable[..., Call]


async def one(script: Script, call: Call, answer_within_ms: int = 8_000) -> tuple[ResponseOutcome, int]:
    """What came of one call, and how many requests arrived."""
    async with serving(script) as server, client_of(server, answer_within_ms=answer_within_ms) as client:
        answer = await client.call(call)
        return answer.outcome, len(server.arrivals)


async def test_what_goes_over_the_wire() -> None:
    """A search, to the byte that matters."""
    async with serving(says("200 OK", {"contacts": [{"id": "c-1"}], "total": 1, "traceId": "t"})) as server:
        async with client_of(server) as client:
            answer = await client.call(search())
    (arrival,) = server.arrivals

    assert "POST /contacts/search HTTP/1.1" == arrival.line
    assert {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {token}",
        "version": "2021-07-28",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "content-length": str(len(arrival.body)),
        "user-agent": "hydrant/0.1.0",
    } == arrival.headers
    assert [{"field": "email", "operator": "eq", "value": email}] == orjson.loads(arrival.body)["filters"]
    assert isinstance(answer.outcome, Found)
    assert (200, "t") == (answer.status, answer.trace_id)


async def test_a_get_has_no_body() -> None:
    async with serving(says("404 Not Found", b"")) as server, client_of(server) as client:
        await client.call(get())
    (arrival,) = server.arrivals

    assert "GET /contacts/c-1 HTTP/1.1" == arrival.line
    assert {"content-type", "content-length"}.isdisjoint(arrival.headers)


async def test_every_id_arrives_as_it_is() -> None:
    """All that an id may be made of comes as one segment of the path."""
    alphabet = "".join(map(chr, range(0x21, 0x7F)))
    async with serving(says("404 Not Found", b"")) as server, client_of(server) as client:
        for contact_id in (alphabet, "..a", "a/../b", "%2e%2e"):
            await client.call(get(contact_id=contact_id))
    paths = [arrival.line.split(" ")[1] for arrival in server.arrivals]

    assert [alphabet, "..a", "a/../b", "%2e%2e"] == [unquote(path.removeprefix("/contacts/")) for path in paths]
    assert all(path.count("/") == 2 and "?" not in path for path in paths)


@pytest.mark.parametrize("contact_id", ["..", ".", "\ud800"])
async def test_an_id_that_no_url_can_name_is_not_sent(contact_id: str) -> None:
    assert (Refused(0, "unspeakable"), 0) == await one(hangs, get(contact_id=contact_id))


@both
@pytest.mark.parametrize("misbehaves", [resets, closes])
async def test_a_reset_after_the_request_makes_no_second_one(make: Make, misbehaves: Script) -> None:
    """One slot, one request on the wire."""
    assert (Lost("reset"), 1) == await one(misbehaves, make())


@both
async def test_a_reset_of_a_kept_connection_makes_no_second_request(make: Make) -> None:
    """This is where aiohttp would send it again."""

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (says("200 OK", empty) if len(server.arrivals) == 1 else resets)(server, reader, writer)

    async with serving(script) as server, client_of(server) as client:
        await client.call(search())
        answer = await client.call(make())

    assert (Lost("reset"), 2, 1) == (answer.outcome, len(server.arrivals), server.connections)


@both
async def test_a_kept_connection_that_the_server_closed_meanwhile(make: Make) -> None:
    """The next call takes a new one, and arrives once."""
    async with serving(says("200 OK", empty, close=True)) as server, client_of(server) as client:
        await client.call(search())
        await asyncio.sleep(0.02)
        answer = await client.call(make())

    assert (200, 2, 2) == (answer.status, len(server.arrivals), server.connections)


async def test_connections_are_kept() -> None:
    async with serving(says("200 OK", empty)) as server, client_of(server) as client:
        for _ in range(3):
            await client.call(search())

    assert (3, 1) == (len(server.arrivals), server.connections)


@both
@pytest.mark.parametrize("script", [hangs, trickles])
async def test_a_response_that_is_not_whole_in_time_is_lost(make: Make, script: Script) -> None:
    """By the send deadline plus the time for an answer, and the connection is given up."""
    async with serving(script) as server, client_of(server, answer_within_ms=60) as client:
        before = real_time()
        answer = await client.call(make(send_within_ms=40))
        took = real_time() - before
        await asyncio.wait_for(server.ended.wait(), 1)

    assert (Lost("timeout"), None, 1) == (answer.outcome, answer.status, len(server.arrivals))
    assert 90 <= took <= 1_000


@both
async def test_an_endless_body_is_bounded(make: Make) -> None:
    async with serving(never_ends) as server, client_of(server) as client:
        answer = await client.call(make())
        await asyncio.wait_for(server.ended.wait(), 1)

    assert (Lost("endless"), None, 1) == (answer.outcome, answer.status, len(server.arrivals))


@both
@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", Lost("cut short")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Lost("cut short")),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Lost("reset")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Lost("not HTTP")),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", Lost("not HTTP")),
    ],
)
async def test_what_is_no_whole_response_is_lost(make: Make, head: bytes, expected: ResponseOutcome) -> None:
    assert (expected, 1) == await one(cut_short(head), make())


@both
@pytest.mark.parametrize(
    ("status", "location"),
    [("301 Moved", "/elsewhere"), ("302 Found", "http://127.0.0.1:1/"), ("307 Again", "http://[bad")],
)
async def test_no_redirect_is_followed(make: Make, status: str, location: str) -> None:
    """The token goes where we sent it, and nowhere else."""
    said, arrivals = await one(says(status, b"", f"Location: {location}"), make())

    assert (Refused(int(status[:3])), 1) == (said, arrivals)


async def test_no_cookie_is_kept() -> None:
    async with serving(says("200 OK", empty, "Set-Cookie: a=b; Path=/")) as server, client_of(server) as client:
        await client.call(search())
        await client.call(search())

    assert 2 == len(server.arrivals)
    assert all("cookie" not in arrival.headers for arrival in server.arrivals)


async def test_a_compressed_body_is_read() -> None:
    body = gzip.compress(orjson.dumps({"contacts": [{"id": "c-1"}], "total": 1}))
    said, _ = await one(says("200 OK", body, "Content-Encoding: GZIP"), search())

    assert isinstance(said, Found)
    assert 1 == said.total


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(b" " * 2_000_000 + orjson.dumps(empty), mtime=0), "gzip"),
        (gzip.compress(orjson.dumps(empty), mtime=0)[:-9], "gzip"),
        (orjson.dumps(empty), "gzip"),
        (gzip.compress(gzip.compress(b" " * 2_000_000, mtime=0), mtime=0), "gzip, gzip"),
        (orjson.dumps(empty), "br"),
    ],
)
async def test_a_body_that_cannot_be_decoded_is_unavailable(body: bytes, coding: str) -> None:
    """A bomb too is never unpacked beyond the limit."""
    said, _ = await one(says("200 OK", body, f"Content-Encoding: {coding}"), search())

    assert Unavailable("not a search's reply") == said


@both
async def test_a_call_that_comes_late_is_not_sent(make: Make) -> None:
    async with serving(hangs) as server, client_of(server) as client:
        answer = await client.call(make(send_within_ms=-1))

    assert (Unsent("late"), None, 0) == (answer.outcome, answer.status, server.connections)


@pytest.mark.parametrize(("make", "looks_in_time"), [(get, 1), (search, 1), (search, 2)])
async def test_a_connection_that_is_ready_too_late_carries_nothing(make: Make, looks_in_time: int) -> None:
    """The clock passes the deadline while connecting, or just before a body is written: not a byte has left."""
    looks = 0

    def now() -> int:
        nonlocal looks
        looks += 1
        return real_time() if looks <= looks_in_time else real_time() + 10_000

    async with serving(hangs) as server, client_of(server, now) as client:
        answer = await client.call(make())
        await asyncio.wait_for(server.ended.wait(), 1)

    assert (Unsent("late"), None, 1, 0) == (answer.outcome, answer.status, server.connections, server.received)


@both
async def test_a_kept_connection_carries_nothing_too_late_either(make: Make) -> None:
    late = False

    def now() -> int:
        return real_time() + 10_000 * late

    async with serving(says("200 OK", empty)) as server, client_of(server, now) as client:
        await client.call(search())
        call = make()
        received, late = server.received, True
        answer = await client.call(call)

    assert (Unsent("late"), received) == (answer.outcome, server.received)


@asynccontextmanager
async def no_tls(greeting: bytes) -> AsyncIterator[Server]:
    """Whoever connects hears the greeting, and then nothing."""

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
    """A TLS handshake that hangs ends with the time to send, not with the time for an answer."""
    async with no_tls(b"") as server, client_of(server, scheme="https") as client:
        before = real_time()
        answer = await client.call(make(send_within_ms=50))
        took = real_time() - before

    assert Unsent("connect") == answer.outcome
    assert 45 <= took <= 1_000  # far from the 8 s or more that would be wrong


@both
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_connection_that_fails_in_time_is_a_failure(make: Make, scheme: str) -> None:
    """So it counts as an attempt, and the next one waits."""
    async with no_tls(b"SSH-2.0-OpenSSH\r\n") as server:
        server.port = server.port if scheme == "https" else unused_port()
        async with client_of(server, scheme=scheme) as client:
            answer = await client.call(make())

    assert (Lost("tls" if scheme == "https" else "connect"), None) == (answer.outcome, answer.status)


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_hanging_calls_delay_no_other() -> None:
    """No pool limit is shared: 150 calls hang, one more is answered at once."""
    all_hang = asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "last" in server.arrivals[-1].line:
            return await says("404 Not Found", b"")(server, reader, writer)
        if len(server.arrivals) == 150:
            all_hang.set()
        return await hangs(server, reader, writer)

    async with serving(script) as server, client_of(server) as client:
        hanging = [asyncio.create_task(client.call(get())) for _ in range(150)]
        await asyncio.wait_for(all_hang.wait(), 2)
        answer = await asyncio.wait_for(client.call(get(contact_id="last")), 0.5)
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)

    assert (answer.status, server.connections) == (404, 151)
    assert all(task.cancelled() for task in hanging)


async def test_a_location_without_a_token_costs_no_request(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text('other = "token"')
    tokens = Tokens.of_file(file, lambda: 0.0)
    async with serving(hangs) as server, client_of(server, tokens=tokens) as client:
        answer = await client.call(search())

    assert (Unauthorized("missing"), None, 0) == (answer.outcome, answer.status, server.connections)


async def test_a_401_reads_the_tokens_again(tmp_path: Path) -> None:
    """So that whoever asks next has the new one; the call itself is not repeated."""
    file = tmp_path / "tokens.toml"
    file.write_text('loc-1 = "expired"')
    tokens = Tokens.of_file(file, lambda: 0.0)
    file.write_text('loc-1 = "renewed"')
    async with serving(says("401 Unauthorized", {"message": "Invalid JWT", "statusCode": 401})) as server:
        async with client_of(server, tokens=tokens) as client:
            answers = [await client.call(search()), await client.call(search())]

    assert [Unauthorized("expired")] * 2 == [answer.outcome for answer in answers]
    assert [fingerprint("expired"), fingerprint("renewed")] == [answer.token for answer in answers]
    assert (fingerprint("renewed"), None) == (client.fingerprint("loc-1"), client.fingerprint("loc-2"))
    assert ["Bearer expired", "Bearer renewed"] == [arrival.headers["authorization"] for arrival in server.arrivals]


async def test_nothing_personal_and_no_token_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    """Neither into logs, nor into what an answer shows, nor to the loop's handler of forgotten errors."""
    caplog.set_level(logging.DEBUG)
    forgotten: list[Mapping[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: forgotten.append(context))
    hit = {"contacts": [{"id": "c-1", "email": email, "phone": "+15551234567", "firstNameRaw": "Canary"}], "total": 1}
    scripts: Sequence[Script] = [
        says("200 OK", hit),
        says("400 Bad Request", {"message": f"Invalid value {email}", "traceId": email}, "Set-Cookie: \x01=b; bad"),
        says("401 Unauthorized", {"message": f"Invalid token {token}"}),
        says("302 Found", b"", f"Location: /?email={email}"),
        resets,
        cut_short(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + email[:5].encode()),
        cut_short(f"{email}\r\n\r\n".encode()),
    ]
    answers: list[Response] = []
    for script in scripts:
        async with serving(script) as server, client_of(server) as client:
            answers += [await client.call(search()), await client.call(search(send_within_ms=-1))]
            assert 1 == len(server.arrivals)
    async with client_of(Server(hangs, unused_port()), tokens=Tokens(everywhere=f"{token}\u20ac\n")) as client:
        answers.append(await client.call(search()))
    logging.getLogger("aiohttp.client").error(email)
    gc.collect()
    await asyncio.sleep(0)
    shown = f"{answers!r} {client!r} {caplog.text}".lower()

    assert [] == forgotten
    assert "canary" not in shown
    assert "555123" not in shown
    assert 2 * len(scripts) + 1 == len(answers)


async def test_an_unsendable_token_is_no_crash() -> None:
    async with serving(hangs) as server, client_of(server, tokens=Tokens(everywhere="a\r\nX: b")) as client:
        answer = await client.call(search())

    assert (None, 0) == (answer.status, server.received)


async def test_the_kernel_gives_up_what_we_gave_up() -> None:
    """What isn't sent or acknowledged doesn't arrive once a cut network heals."""
    with new_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ())) as made:
        linger = made.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        unacknowledged = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert (struct.pack("ii", 1, 0), 8_000) == (linger, unacknowledged)


async def test_the_client_makes_its_sockets_so() -> None:
    """A connection that is given up ends with a reset: nothing is flushed to the server afterwards."""
    reset = asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError:
            reset.set()

    async with serving(script) as server, client_of(server, answer_within_ms=20) as client:
        await client.call(search(send_within_ms=20))
        await asyncio.wait_for(reset.wait(), 1)

    assert reset.is_set()
