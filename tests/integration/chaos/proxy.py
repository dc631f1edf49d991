"""The network between one worker and HighLevel: it passes on what it gets, or holds it, and then loses or delivers that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

piece: Final = 65_536  # bytes that pass at once


@dataclass(eq=False)
class Proxy:
    url: str
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _held: set["Pipe"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._open.set()

    @property
    def holds(self) -> bool:
        """True if anything waits for the cut to end."""
        return bool(self._held)

    def cut(self) -> None:
        """From now on nothing passes, in neither direction; connections are taken all the same."""
        self._open.clear()

    def heal(self, deliver: bool = False) -> None:
        """Deliver the held bytes, or drop them and their connections."""
        if not deliver:
            for pipe in self._held:
                pipe.lost = True
        self._open.set()

    async def passes(self, pipe: "Pipe") -> bool:
        """Once it may; False: it is lost."""
        if not self._open.is_set():
            self._held.add(pipe)
            await self._open.wait()
            self._held.discard(pipe)
        return not pipe.lost


@dataclass(eq=False)
class Pipe:
    """A connection. The end of one side ends both."""

    proxy: Proxy
    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    lost: bool = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its end; that passes like what came before."""
        with suppress(OSError):
            while True:
                data = await reader.read(piece)
                if not await self.proxy.passes(self) or not data:
                    break
                writer.write(data)
                await writer.drain()
        for one in self.writers:
            if self.lost:
                one.transport.abort()
            else:
                one.close()


@asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    """In front of the HTTP server at the URL `target`, on a free port of this machine."""
    host, port = urlsplit(target).hostname, urlsplit(target).port
    carrying: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        pipe = Pipe(made, (writer, back))
        for each in (pipe.carry(reader, back), pipe.carry(there, writer)):
            task = asyncio.create_task(each, name="carry")
            carrying.add(task)
            task.add_done_callback(carrying.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    made = Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield made
    finally:
        server.close()
        for task in carrying:
            task.cancel()
        if carrying:
            await asyncio.wait(carrying)
