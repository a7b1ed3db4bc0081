"""A proxy in front of PostgreSQL that breaks connections at COMMIT."""

import asyncio
import contextlib
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from mercato_server.embedded.postgres import Postgres

SOCKET = ".s.PGSQL.5432"
BEFORE, AFTER = "before", "after"
Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


class Link:
    """One connection through the proxy."""

    def __init__(self, client: Writer, server: Writer) -> None:
        self.client, self.server = client, server
        self.muted = False
        self.kept = False
        """Whether the client's connection stays open after PostgreSQL's has ended."""
        self.answered = asyncio.Event()

    async def pass_answers(self, server: Reader) -> None:
        """Forward PostgreSQL's answers to the client, or discard them while muted."""
        with contextlib.suppress(OSError):
            while data := await server.read(65_536):
                if self.muted:
                    self.answered.set()
                else:
                    self.client.write(data)
                    await self.client.drain()
        self.answered.set()
        if not self.kept:
            self.break_off()

    def break_off(self) -> None:
        """Cut both ends."""
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Forwards connections from its own Unix socket to that of PostgreSQL.

    `plan` is called at each COMMIT. BEFORE: PostgreSQL never gets it. AFTER: PostgreSQL answers it, but the client never gets the
    answer. None: it is forwarded. With `darkens`, no connection gets through after a cut until `light` is called.
    """

    def __init__(self, upstream: Path) -> None:
        self.plan: Callable[[], str | None] = lambda: None
        self.cuts: Counter[str] = Counter()
        self.darkens = False
        self.release: asyncio.Event | None = None
        """If set, a COMMIT that will be cut is held back, and its client waits, until this event."""
        self.held = asyncio.Event()
        self._upstream = upstream
        self._dark = False
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut_next(self, place: str) -> None:
        """Cut the next COMMIT, and no other."""
        plan = [place]
        self.plan = lambda: plan.pop() if plan else None

    def light(self) -> None:
        """Let connections through again."""
        self._dark = False

    def accept(self, reader: Reader, writer: Writer) -> None:
        """Forward one connection, in a task that `close` ends."""
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut every connection."""
        for link in list(self._links):
            link.break_off()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: Reader, writer: Writer) -> None:
        if self._dark:
            writer.transport.abort()
            return
        try:
            server_reader, server = await asyncio.open_unix_connection(self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server)
        self._links.add(link)
        answers = asyncio.ensure_future(link.pass_answers(server_reader))
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._pass_requests(reader, link)
        finally:
            link.break_off()
            self._links.discard(link)
            await answers

    async def _pass_requests(self, client: Reader, link: Link) -> None:
        length = await client.readexactly(4)  # the first message has no type
        link.server.write(length + await client.readexactly(struct.unpack("!I", length)[0] - 4))
        while True:
            head = await client.readexactly(5)
            message = head + await client.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            cut = self.plan() if message[:1] == b"Q" and message[5:].startswith(b"COMMIT") else None
            if cut:
                await self._cut(cut, message, link)
                return
            link.server.write(message)
            await link.server.drain()

    async def _cut(self, place: str, message: bytes, link: Link) -> None:
        self.cuts[place] += 1
        if self.release is not None:
            link.kept = True
            self.held.set()
            await self.release.wait()
        if place == AFTER:
            link.muted = True
            link.server.write(message)
            await link.answered.wait()
        if self.darkens:
            self._dark = True
            for other in list(self._links):
                other.break_off()


@asynccontextmanager
async def proxied(database_url: str, server: Postgres) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy for a block; yields it and the URL of the database through it."""
    with tempfile.TemporaryDirectory(prefix="mercato-proxy-") as directory:
        proxy = Proxy(Path(server.run_dir) / SOCKET)
        listener = await asyncio.start_unix_server(proxy.accept, Path(directory) / SOCKET)
        try:
            yield proxy, database_url.replace(str(server.run_dir), directory)
        finally:
            listener.close()
            await proxy.close()
