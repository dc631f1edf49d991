"""The client writes requests, reads responses, and keeps what it must not show."""

import asyncio
import gc
import gzip
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import orjson
import pytest

from processor.engine.tokens import Tokens, fingerprint
from processor.highlevel.responses import Found, Lost, Refused, Response, ResponseOutcome, Unauthorized, Unavailable
from tests.unit.engine.raw_server import (
    Make,
    Script,
    Server,
    both,
    client_of,
    cut_short,
    email,
    empty,
    get,
    hangs,
    one,
    replies,
    resets,
    search,
    serving,
    token,
    unused_port,
)


async def test_a_search_on_the_wire() -> None:
    """Pin the request line, the headers and the filter."""
    async with serving(replies("200 OK", {"contacts": [{"id": "c-1"}], "total": 1, "traceId": "t"})) as server:
        async with client_of(server) as client:
            response = await client.call(search())
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
    assert isinstance(response.outcome, Found)
    assert (200, "t") == (response.status, response.trace_id)


async def test_a_get_has_no_body() -> None:
    async with serving(replies("404 Not Found", b"")) as server, client_of(server) as client:
        await client.call(get())
    (arrival,) = server.arrivals

    assert "GET /contacts/c-1 HTTP/1.1" == arrival.line
    assert {"content-type", "content-length"}.isdisjoint(arrival.headers)


async def test_every_id_arrives_as_it_is() -> None:
    """Any characters of an id arrive as one segment of the path."""
    alphabet = "".join(map(chr, range(0x21, 0x7F)))
    async with serving(replies("404 Not Found", b"")) as server, client_of(server) as client:
        for contact_id in (alphabet, "..a", "a/../b", "%2e%2e"):
            await client.call(get(contact_id=contact_id))
    paths = [arrival.line.split(" ")[1] for arrival in server.arrivals]

    assert [alphabet, "..a", "a/../b", "%2e%2e"] == [unquote(path.removeprefix("/contacts/")) for path in paths]
    assert all(path.count("/") == 2 and "?" not in path for path in paths)


@pytest.mark.parametrize("contact_id", ["..", ".", "\ud800"])
async def test_an_id_that_no_url_can_name_is_not_sent(contact_id: str) -> None:
    assert (Refused(0, "unspeakable"), 0) == await one(hangs, get(contact_id=contact_id))


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
async def test_an_incomplete_response_is_lost(make: Make, head: bytes, expected: ResponseOutcome) -> None:
    assert (expected, 1) == await one(cut_short(head), make())


@both
@pytest.mark.parametrize(
    ("status", "location"),
    [("301 Moved", "/elsewhere"), ("302 Found", "http://127.0.0.1:1/"), ("307 Again", "http://[bad")],
)
async def test_no_redirect_is_followed(make: Make, status: str, location: str) -> None:
    """The token goes where we sent it, and nowhere else."""
    outcome, arrivals = await one(replies(status, b"", f"Location: {location}"), make())

    assert (Refused(int(status[:3])), 1) == (outcome, arrivals)


async def test_no_cookie_is_kept() -> None:
    async with serving(replies("200 OK", empty, "Set-Cookie: a=b; Path=/")) as server, client_of(server) as client:
        await client.call(search())
        await client.call(search())

    assert 2 == len(server.arrivals)
    assert all("cookie" not in arrival.headers for arrival in server.arrivals)


async def test_a_compressed_body_is_read() -> None:
    body = gzip.compress(orjson.dumps({"contacts": [{"id": "c-1"}], "total": 1}))
    outcome, _ = await one(replies("200 OK", body, "Content-Encoding: GZIP"), search())

    assert isinstance(outcome, Found)
    assert 1 == outcome.total


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
    """Not even a bomb is unpacked beyond the limit."""
    outcome, _ = await one(replies("200 OK", body, f"Content-Encoding: {coding}"), search())

    assert Unavailable("not a search's reply") == outcome


async def test_a_location_without_a_token_costs_no_request(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text('other = "token"')
    tokens = Tokens.of_file(file, lambda: 0.0)
    async with serving(hangs) as server, client_of(server, tokens=tokens) as client:
        response = await client.call(search())

    assert (Unauthorized("missing"), None, 0) == (response.outcome, response.status, server.connections)


async def test_a_401_reads_the_tokens_again(tmp_path: Path) -> None:
    """The next call has the new token; the call itself is not repeated."""
    file = tmp_path / "tokens.toml"
    file.write_text('loc-1 = "expired"')
    tokens = Tokens.of_file(file, lambda: 0.0)
    file.write_text('loc-1 = "renewed"')
    async with serving(replies("401 Unauthorized", {"message": "Invalid JWT", "statusCode": 401})) as server:
        async with client_of(server, tokens=tokens) as client:
            responses = [await client.call(search()), await client.call(search())]

    assert [Unauthorized("expired")] * 2 == [response.outcome for response in responses]
    assert [fingerprint("expired"), fingerprint("renewed")] == [response.token for response in responses]
    assert (fingerprint("renewed"), None) == (client.fingerprint("loc-1"), client.fingerprint("loc-2"))
    assert ["Bearer expired", "Bearer renewed"] == [arrival.headers["authorization"] for arrival in server.arrivals]


async def test_nothing_personal_and_no_token_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    """Neither logs, nor the repr of a response, nor the loop's handler of forgotten errors show any of it."""
    caplog.set_level(logging.DEBUG)
    forgotten: list[Mapping[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: forgotten.append(context))
    hit = {"contacts": [{"id": "c-1", "email": email, "phone": "+15551234567", "firstNameRaw": "Canary"}], "total": 1}
    scripts: Sequence[Script] = [
        replies("200 OK", hit),
        replies("400 Bad Request", {"message": f"Invalid value {email}", "traceId": email}, "Set-Cookie: \x01=b; bad"),
        replies("401 Unauthorized", {"message": f"Invalid token {token}"}),
        replies("302 Found", b"", f"Location: /?email={email}"),
        resets,
        cut_short(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + email[:5].encode()),
        cut_short(f"{email}\r\n\r\n".encode()),
    ]
    responses: list[Response] = []
    for script in scripts:
        async with serving(script) as server, client_of(server) as client:
            responses += [await client.call(search()), await client.call(search(send_within_ms=-1))]
            assert 1 == len(server.arrivals)
    async with client_of(Server(hangs, unused_port()), tokens=Tokens(everywhere=f"{token}\u20ac\n")) as client:
        responses.append(await client.call(search()))
    logging.getLogger("aiohttp.client").error(email)
    gc.collect()
    await asyncio.sleep(0)
    shown = f"{responses!r} {client!r} {caplog.text}".lower()

    assert [] == forgotten
    assert "canary" not in shown
    assert "555123" not in shown
    assert 2 * len(scripts) + 1 == len(responses)


async def test_an_unsendable_token_is_no_crash() -> None:
    async with serving(hangs) as server, client_of(server, tokens=Tokens(everywhere="a\r\nX: b")) as client:
        response = await client.call(search())

    assert (None, 0) == (response.status, server.received)
