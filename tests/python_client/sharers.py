"""Processes that share a stored session, as a test sees them."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from python_client import sharing
from python_client.sharing import GO, NO_FAULT


@dataclass
class Sharer:
    """A process, as the test sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, command: str = GO) -> str:
        """Let it do as told; returns its answer, empty if it has died instead."""
        self.writer.write(f"{command}\n".encode())
        await self.writer.drain()
        try:
            return (await self.reader.readline()).decode().strip()
        except ConnectionResetError:
            return ""

    async def close(self) -> None:
        """Let it end."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def sharers(count: int, target: str, path: Path, *, fault: str = NO_FAULT) -> AsyncIterator[list[Sharer]]:
    """Run processes that share the session of a file; every second one has an event loop."""
    pairs = [socket.socketpair() for _ in range(count)]
    theirs = [each.fileno() for _, each in pairs]
    argv = [sys.executable, sharing.__file__, target, str(path), fault, *map(str, theirs)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.to_thread(subprocess.Popen, argv, stdin=subprocess.PIPE, pass_fds=theirs, env=environ)
    opened: list[Sharer] = []
    try:
        for _, each in pairs:
            each.close()
        opened += [Sharer(*await asyncio.open_connection(sock=ours)) for ours, _ in pairs]
        yield opened
    finally:
        for sharer in opened:
            await sharer.close()
        for ours, _ in pairs[len(opened) :]:
            ours.close()
        await asyncio.to_thread(process.communicate)
