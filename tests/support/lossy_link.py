"""A link between a client and a server that loses answers: the server gets each request, and the client never hears of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

HOST = "127.0.0.1"


class LossyLink:
    """Relays TCP connections to a port."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._loses = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.target = ""
        """The address for clients."""

    def lose_answers(self) -> None:
        """From now on discard what the server sends."""
        self._loses = True

    def cut(self) -> None:
        """Cut all connections; later ones work."""
        self._loses = False
        for end in list(self._ends):
            end.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["LossyLink"]:
        """Listen during a block."""
        listener = await asyncio.start_server(self._accept, HOST, 0)
        self.target = f"{HOST}:{listener.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            listener.close()
            self.cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(HOST, self._upstream_port)
        self._ends |= {writer, there}
        try:
            await asyncio.gather(self._copy(reader, there, may_lose=False), self._copy(there_reader, writer, may_lose=True))
        finally:
            self._ends -= {writer, there}
            for end in (writer, there):
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, may_lose: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if not (may_lose and self._loses):
                    sink.write(data)
                    await sink.drain()
        sink.transport.abort()
