"""The one door to HighLevel's API: a call goes out by its permit, once, and comes back as exactly one answer.

aiohttp, with its redirects, cookies and second tries switched off. No exception type proves that a request wasn't sent
(HAZARDS, HTTP): hooks before the first byte say it.
"""

import asyncio
import logging
import socket
import ssl
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace, TracebackType
from typing import Final, Self
from urllib.parse import quote, urlencode

import aiohttp
import certifi
import orjson
from yarl import URL

from processor import __version__
from processor.engine.tokens import Tokens, fingerprint
from processor.highlevel.requests import Call, http_request
from processor.highlevel.responses import Lost, Refused, Response, ResponseOutcome, Unauthorized, Unsent, parse
from processor.ratelimit.budget import respond_within_ms

highlevels_url: Final = "https://services.leadconnectorhq.com"  # contract.md §1
body_limit: Final = 16 * 1024 * 1024  # bytes; a page of 500 contacts has about 1 MiB
user_agent: Final = f"hydrant/{__version__}"  # contract.md §1: Cloudflare turns library names away
unacknowledged_ms: Final = respond_within_ms  # then the kernel gives up: no late arrival once a cut network heals

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


class Client:
    """`now` in ms since 1970, the clock that permits are made by. The limits are arguments for the sake of tests."""

    def __init__(
        self,
        tokens: Tokens,
        now: Callable[[], int],
        base_url: str = highlevels_url,
        answer_within_ms: int = respond_within_ms,
        body_limit: int = body_limit,
    ) -> None:
        self._tokens, self._now, self._base_url = tokens, now, base_url.rstrip("/")
        self._answer_within_ms, self._body_limit = answer_within_ms, body_limit

    async def __aenter__(self) -> Self:
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # its lines hold URLs
        hooks = aiohttp.TraceConfig()
        hooks.on_request_headers_sent.append(self._before_headers)  # despite the name, called before they are written
        hooks.on_request_chunk_sent.append(self._before_body)  # likewise; headers wait for the first piece of the body
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, ssl=tls(), socket_factory=new_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[hooks],
            auto_decompress=False,
            trust_env=False,
        )
        send_only_once(self._session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, call: Call) -> Response:
        """Never raises, but when cancelled. The request leaves by the permit's `send_by` or not at all."""
        token = self._tokens.get(call.permit.location)
        if token is None:
            return unanswered(call, Unauthorized("missing"))
        left_ms = call.permit.send_by - self._now()
        if left_ms < 0:
            return unanswered(call, Unsent("late"))
        try:
            asked = http_request(call.request)
            query = f"?{urlencode(asked.query, quote_via=quote)}" if asked.query else ""
            url = URL(self._base_url + asked.path + query, encoded=True)
            content = None if asked.body is None else orjson.dumps(asked.body)
        except (ValueError, TypeError):  # an id or a value that has no form in HTTP
            return unanswered(call, Refused(0, "unspeakable"))
        headers = {
            "Authorization": f"Bearer {token}",
            "Version": asked.version,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent,
            **({"Content-Type": "application/json"} if content else {}),
        }
        departure = Departure(call.permit.send_by, has_body=content is not None)
        to_connect = aiohttp.ClientTimeout(total=None, connect=max(left_ms, 1) / 1_000)  # 0 would mean: for ever
        try:
            async with (
                asyncio.timeout((left_ms + self._answer_within_ms) / 1_000),
                self._session.request(
                    asked.method,
                    url,
                    headers=headers,
                    data=content,
                    allow_redirects=False,
                    timeout=to_connect,
                    trace_request_ctx=departure,
                ) as response,
            ):
                body = await read(response, self._body_limit)
        except Exception as error:  # whatever it is, the call has had its one chance
            return unanswered(call, what_happened(departure, error))
        answer = parse(call, response.status, response.headers, body, self._now())
        if not isinstance(answer.outcome, Unauthorized):
            return answer
        if self._tokens.get(call.permit.location) == token:
            self._tokens.reload()  # it may have expired, with a new one in the file; the shard decides who asks again
        return replace(answer, token=fingerprint(token))

    def fingerprint(self, location: str) -> str | None:
        """Of the token that speaks for the location now; None: there is none."""
        token = self._tokens.get(location)
        return None if token is None else fingerprint(token)

    async def _before_headers(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        departure = context.trace_request_ctx
        self._let_go(departure, first_byte=not departure.has_body)

    async def _before_body(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        self._let_go(context.trace_request_ctx, first_byte=True)

    def _let_go(self, departure: Departure, first_byte: bool) -> None:
        if not departure.sent and self._now() > departure.send_by:
            departure.late = True
            raise Late
        departure.sent |= first_byte


class Endless(Exception):
    """A body beyond the limit."""


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, decoded; empty where it is no gzip though it says so. Raises Endless."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
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


def what_happened(departure: Departure, error: Exception) -> ResponseOutcome:
    """A name for what went wrong, never the error's text: that may hold URLs."""
    if departure.late or (not departure.sent and isinstance(error, TimeoutError)):
        return Unsent("late" if departure.late else "connect")
    match error:
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


def unanswered(call: Call, outcome: ResponseOutcome) -> Response:
    return Response(call, outcome, None, None, None)


@cache
def tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


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
