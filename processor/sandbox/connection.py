"""Send the response of one request whole, or break its connection as networks do."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Scope, Send

no_linger: Final = struct.pack("ii", 1, 0)  # the socket closes with a reset
endless_chunk: Final = b" " * 16_384  # every 10 ms: no client's memory lasts, and no core is lost to it
endless_pause_s: Final = 0.01


class ClientConnection:
    """Serve one request. A call in the same process has no connection: a break raises ConnectionResetError into the caller."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport: asyncio.Transport | None = scope.get("state", {}).get("transport")
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        read = []
        while True:
            message = await self._receive()
            read.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(read)

    async def respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self._start(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def pause(self, seconds: float) -> None:
        """Wait, but return early when the client disconnects."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hang()

    async def hang(self) -> None:
        """Wait until the client disconnects."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reset(self) -> None:
        transport = self._breakable()
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        transport.abort()
        await self.hang()

    async def truncate(self, headers: Mapping[str, str], body: bytes) -> None:
        """Send half of the body that Content-Length announces, then close."""
        await self._start(200, headers, len(body))
        await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        self._breakable().close()
        await self.hang()

    async def send_endlessly(self, headers: Mapping[str, str]) -> None:
        await self._start(200, headers, None)
        while self._transport is None or not self._transport.is_closing():
            await self._send({"type": "http.response.body", "body": endless_chunk, "more_body": True})
            await asyncio.sleep(endless_pause_s)

    async def _start(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        if length is not None:
            raw.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    def _breakable(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError("sandbox: connection reset")
        return self._transport
