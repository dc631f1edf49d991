"""The one door to HighLevel's API: a call goes out by its permit, once, and comes back as exactly one answer.

httpx's transport over aiohttp, without httpx's client: that would read redirects, keep cookies and log URLs, at twice
the cost. No exception type proves that a request wasn't sent (HAZARDS, HTTP): hooks before the first byte say it.
"""

import asyncio
import logging
import socket
import struct
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import SimpleNamespace, TracebackType
from typing import Final, Self

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from processor import __version__
from processor.highlevel.budget import answer_within_ms
from processor.highlevel.calls import Answer, Call, Lost, Outcome, Refused, Unauthorized, Unsent, parse, request
from processor.highlevel.tokens import Tokens, fingerprint

highlevels_url: Final = "https://services.leadconnectorhq.com"  # contract.md §1
body_limit: Final = 16 * 1024 * 1024  # bytes; a page of 500 contacts has about 1 MiB
user_agent: Final = f"hydrant/{__version__}"  # contract.md §1: Cloudflare turns library names away
unacknowledged_ms: Final = answer_within_ms  # then the kernel gives up: no late arrival once a cut network heals

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]  # as getaddrinfo gives it


@dataclass(slots=True)
class Departure:
    """How far a request has come on its way out."""

    send_by: int
    has_body: bool
    late: bool = False
    sent: bool = False  # a byte of it may have left


class Late(Exception):
    """The send deadline passed while connecting."""


departing: Final[ContextVar[Departure]] = ContextVar("departing")


class Client:
    """`now` in ms since 1970, the clock that permits are made by. The limits are arguments for the sake of tests."""

    def __init__(
        self,
        tokens: Tokens,
        now: Callable[[], int],
        base_url: str = highlevels_url,
        answer_within_ms: int = answer_within_ms,
        body_limit: int = body_limit,
    ) -> None:
        self._tokens, self._now, self._base_url = tokens, now, base_url.rstrip("/")
        self._answer_within_ms, self._body_limit = answer_within_ms, body_limit

    async def __aenter__(self) -> Self:
        for name in ("httpx", "aiohttp"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # their lines hold URLs
        tls = httpx.create_ssl_context(trust_env=False)
        hooks = aiohttp.TraceConfig()
        hooks.on_request_headers_sent.append(self._before_headers)  # despite the name, called before they are written
        hooks.on_request_chunk_sent.append(self._before_body)  # likewise; headers wait for the first piece of the body
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, ssl=tls, socket_factory=new_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[hooks],
            trust_env=False,
        )
        send_only_once(session)
        self._transport = AiohttpTransport(verify=tls, trust_env=False, client=session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def call(self, call: Call) -> Answer:
        """Never raises, but when cancelled. The request leaves by the permit's `send_by` or not at all."""
        token = self._tokens.get(call.permit.location)
        if token is None:
            return unanswered(call, Unauthorized("missing"))
        departure = Departure(call.permit.send_by, has_body=False)
        departing.set(departure)
        left_ms = departure.send_by - self._now()
        if left_ms < 0:
            return unanswered(call, Unsent("late"))
        try:
            outgoing = self._request(call, token, left_ms)
        except (ValueError, TypeError):  # an id or a value that has no form in HTTP
            return unanswered(call, Refused(0, "unspeakable"))
        departure.has_body = bool(outgoing.content)
        try:
            async with asyncio.timeout((left_ms + self._answer_within_ms) / 1_000):
                response = await self._transport.handle_async_request(outgoing)
                try:
                    body = await read(response, self._body_limit)
                finally:
                    await response.aclose()
        except Exception as error:  # whatever it is, the call has had its one chance
            return unanswered(call, what_happened(departure, error))
        answer = parse(call, response.status_code, response.headers, body, self._now())
        if not isinstance(answer.outcome, Unauthorized):
            return answer
        if self._tokens.get(call.permit.location) == token:
            self._tokens.reload()  # it may have expired, with a new one in the file; the shard decides who asks again
        return replace(answer, token=fingerprint(token))

    def fingerprint(self, location: str) -> str | None:
        """Of the token that speaks for the location now; None: there is none."""
        token = self._tokens.get(location)
        return None if token is None else fingerprint(token)

    def _request(self, call: Call, token: str, left_ms: int) -> httpx.Request:
        asked = request(call.what)
        headers = {
            "Authorization": f"Bearer {token}",
            "Version": asked.version,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent,
        }
        if asked.body is not None:
            headers["Content-Type"] = "application/json"
        left_s = max(left_ms, 1) / 1_000  # 0 would mean: for ever
        timeout = {"connect": left_s, "pool": left_s, "read": left_s + self._answer_within_ms / 1_000}
        content = None if asked.body is None else orjson.dumps(asked.body)
        url = self._base_url + asked.path
        return httpx.Request(asked.method, url, headers=headers, content=content, extensions={"timeout": timeout})

    async def _before_headers(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        departure = departing.get()
        self._let_go(departure, first_byte=not departure.has_body)

    async def _before_body(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        self._let_go(departing.get(), first_byte=True)

    def _let_go(self, departure: Departure, first_byte: bool) -> None:
        if not departure.sent and self._now() > departure.send_by:
            departure.late = True
            raise Late
        departure.sent |= first_byte


class Endless(Exception):
    """A body beyond the limit."""


async def read(response: httpx.Response, limit: int) -> bytes:
    """The whole body, decoded; empty where it is no gzip though it says so. Raises Endless."""
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > limit:
            raise Endless
        pieces.append(piece)
    body = b"".join(pieces)
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return body
    if coding != "gzip":
        return b""  # not what we accept
    try:
        gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        body = gzip.decompress(body, limit)
    except zlib.error:
        return b""
    return body if gzip.eof else b""


def what_happened(departure: Departure, error: Exception) -> Outcome:
    """A name for what went wrong, never the error's text: that may hold URLs."""
    cause = error.__cause__ if isinstance(error, httpx.TransportError) else error
    if departure.late or (not departure.sent and isinstance(cause, TimeoutError)):
        return Unsent("late" if departure.late else "connect")
    match cause:
        case aiohttp.ClientConnectorDNSError():
            return Lost("dns")
        case aiohttp.ClientSSLError() if not departure.sent:
            return Lost("tls")
        case _ if not departure.sent:
            return Lost("connect")
        case TimeoutError():
            return Lost("timeout")
        case Endless():
            return Lost("endless")
        case aiohttp.ClientPayloadError():
            return Lost("cut short")
        case aiohttp.ClientConnectionError():
            return Lost("reset")
    return Lost("not HTTP")


def unanswered(call: Call, outcome: Outcome) -> Answer:
    return Answer(call, outcome, None, None, None)


def send_only_once(session: aiohttp.ClientSession) -> None:
    """aiohttp sends a GET or PUT again after a reset, and has no public switch: one slot would make two requests."""
    if not hasattr(session, "_retry_connection"):
        raise RuntimeError("this aiohttp has no _retry_connection: does it still send a request twice?")
    session._retry_connection = False


def new_socket(address: AddressInfo) -> socket.socket:
    """A closed socket takes back what the kernel hasn't sent yet, and what nobody acknowledges is given up."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged_ms)
    return made
