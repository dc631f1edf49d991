"""One request's connection: how an answer leaves, whole or broken in one of the ways that networks have."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Scope, Send

no_linger: Final = struct.pack("ii", 1, 0)  # close with a reset instead of a goodbye
chunk: Final = b" " * 16_384  # of an endless body; every 10 ms: no client's memory lasts, and no core is lost to it
pause_s: Final = 0.01


class Wire:
    """Called in-process there is no connection to break: then breaking it raises ConnectionResetError into the caller."""

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

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self._start(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def pause(self, seconds: float) -> None:
        """Cut short when the client gives up, so that nobody waits for an answer that nobody hears."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hang()

    async def hang(self) -> None:
        """Until the client gives up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reset(self) -> None:
        transport = self._breakable()
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        transport.abort()
        await self.hang()

    async def truncated(self, headers: Mapping[str, str], body: bytes) -> None:
        """Half of what its Content-Length promises."""
        await self._start(200, headers, len(body))
        await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        self._breakable().close()
        await self.hang()

    async def endless(self, headers: Mapping[str, str]) -> None:
        await self._start(200, headers, None)
        while self._transport is None or not self._transport.is_closing():
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(pause_s)

    async def _start(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        if length is not None:
            raw.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    def _breakable(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError("sandbox: connection reset")
        return self._transport
