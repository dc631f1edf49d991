"""The client of HighLevel's API. It sends a call at most once, by its permit, and returns exactly one response.

It is aiohttp with redirects, cookies and retries switched off. No exception type proves that a request wasn't sent
(HAZARDS, HTTP), so hooks before the first byte record it.
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
from processor.highlevel.requests import Call, HttpRequest, http_request
from processor.highlevel.responses import Lost, Refused, Response, ResponseOutcome, Unauthorized, Unsent, parse_response
from processor.ratelimit.budget import respond_within_ms

default_base_url: Final = "https://services.leadconnectorhq.com"  # contract.md §1
response_limit: Final = 16 * 1024 * 1024  # bytes; a page of 500 contacts has about 1 MiB
_user_agent: Final = f"hydrant/{__version__}"  # contract.md §1: Cloudflare refuses the names of libraries
unacknowledged_ms: Final = respond_within_ms  # then the kernel gives up: nothing arrives late once a cut network heals

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]  # as getaddrinfo gives it


@dataclass(slots=True)
class Departure:
    """The progress of a request on its way out."""

    send_by: int
    left_ms: int  # until then
    has_body: bool
    late: bool = False
    sent: bool = False  # a byte of it may have left


class _Late(Exception):
    """The send deadline passed while connecting."""


class Client:
    """Sends calls. `now` is the clock of the permits, in ms since 1970. The limits are arguments for tests."""

    def __init__(
        self,
        tokens: Tokens,
        now: Callable[[], int],
        base_url: str = default_base_url,
        respond_within_ms: int = respond_within_ms,
        body_limit: int = response_limit,
    ) -> None:
        self._tokens, self._now, self._base_url = tokens, now, base_url.rstrip("/")
        self._respond_within_ms, self._body_limit = respond_within_ms, body_limit

    async def __aenter__(self) -> Self:
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # its lines hold URLs
        hooks = aiohttp.TraceConfig()
        hooks.on_request_headers_sent.append(self._before_headers)  # despite its name, called before they are written
        hooks.on_request_chunk_sent.append(self._before_body)  # likewise; headers wait for the first piece of the body
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, ssl=_tls(), socket_factory=new_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[hooks],
            auto_decompress=False,
            trust_env=False,
        )
        _disable_retries(self._session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, call: Call) -> Response:
        """Return the one response; raise only when cancelled.

        The request leaves by the permit's `send_by` or not at all.
        """
        token = self._tokens.get(call.permit.location)
        if token is None:
            return _without_reply(call, Unauthorized("missing"))
        left_ms = call.permit.send_by - self._now()
        if left_ms < 0:
            return _without_reply(call, Unsent("late"))
        try:
            asked = http_request(call.request)
            query = f"?{urlencode(asked.query, quote_via=quote)}" if asked.query else ""
            url = URL(self._base_url + asked.path + query, encoded=True)
            content = None if asked.body is None else orjson.dumps(asked.body)
        except (ValueError, TypeError):  # HTTP can't express the id or the value
            return _without_reply(call, Refused(0, "unspeakable"))
        departure = Departure(call.permit.send_by, left_ms, has_body=content is not None)
        try:
            response = await self._send(call, asked, url, content, token, departure)
        except Exception as error:  # a call is never sent again, whatever failed
            return _without_reply(call, _failure(departure, error))
        if not isinstance(response.outcome, Unauthorized):
            return response
        if self._tokens.get(call.permit.location) == token:
            self._tokens.reload()  # the file may have a new one; the shard decides when to ask again
        return replace(response, token=fingerprint(token))

    async def _send(
        self, call: Call, asked: HttpRequest, url: URL, content: bytes | None, token: str, departure: Departure
    ) -> Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "Version": asked.version,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": _user_agent,
            **({"Content-Type": "application/json"} if content else {}),
        }
        to_connect = aiohttp.ClientTimeout(total=None, connect=max(departure.left_ms, 1) / 1_000)  # 0: no limit
        async with (
            asyncio.timeout((departure.left_ms + self._respond_within_ms) / 1_000),
            self._session.request(
                asked.method,
                url,
                headers=headers,
                data=content,
                allow_redirects=False,
                timeout=to_connect,
                trace_request_ctx=departure,
            ) as reply,
        ):
            body = await _read_body(reply, self._body_limit)
        return parse_response(call, reply.status, reply.headers, body, self._now())

    def fingerprint(self, location: str) -> str | None:
        """Return the fingerprint of the location's present token, or None where there is none."""
        token = self._tokens.get(location)
        return None if token is None else fingerprint(token)

    async def _before_headers(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        departure = context.trace_request_ctx
        self._check_deadline(departure, first_byte=not departure.has_body)

    async def _before_body(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        self._check_deadline(context.trace_request_ctx, first_byte=True)

    def _check_deadline(self, departure: Departure, first_byte: bool) -> None:
        """Stop the request before its first byte if the send deadline has passed."""
        if not departure.sent and self._now() > departure.send_by:
            departure.late = True
            raise _Late
        departure.sent |= first_byte


class _TooLong(Exception):
    """A body beyond the limit."""


async def _read_body(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the whole body, decoded; empty where decoding fails. Raises _TooLong."""
    pieces, size = [], 0
    async for piece in reply.content.iter_any():
        size += len(piece)
        if size > limit:
            raise _TooLong
        pieces.append(piece)
    body = b"".join(pieces)
    coding = reply.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return body
    if coding != "gzip":
        return b""  # a coding that we don't accept
    try:
        gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        body = gzip.decompress(body, limit)
    except zlib.error:
        return b""
    return body if gzip.eof else b""


def _failure(departure: Departure, error: Exception) -> ResponseOutcome:
    """Return the outcome of a failed call. It names the kind of error, never its text: that may hold URLs."""
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
        case _TooLong():
            return Lost("endless")
        case aiohttp.ClientPayloadError():
            return Lost("cut short")
        case aiohttp.ClientConnectionError():
            return Lost("reset")
    return Lost("not HTTP")


def _without_reply(call: Call, outcome: ResponseOutcome) -> Response:
    return Response(call, outcome, None, None, None)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


def _disable_retries(session: aiohttp.ClientSession) -> None:
    """Keep aiohttp from sending a GET or PUT again after a reset: one slot would make two requests.

    There is no public switch.
    """
    if not hasattr(session, "_retry_connection"):
        raise RuntimeError("this aiohttp has no _retry_connection: does it still send a request twice?")
    session._retry_connection = False


def new_socket(address: AddressInfo) -> socket.socket:
    """Return a socket that drops unsent bytes when it is closed, and gives up bytes that aren't acknowledged."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged_ms)
    return made
