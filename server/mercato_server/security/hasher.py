"""The worker's side of the hash process: the right to hash, places in the queue, and the connection."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mercato_server.config.inheritance import python_environ
from mercato_server.config.settings import Hashing, Limits
from mercato_server.domain.errors import HashingUnavailable, Overloaded
from mercato_server.security.hash_queue import Lane
from mercato_server.security.passwords import digest, digests, unmatched_hash

COMMAND = (sys.executable, "-P", "-m", "mercato_server.security.hash_process")
TRIES = 3
"""How often a hash is sent to a process that ends before its answer."""
CONNECT_S = 2.0
"""Time limit for connecting to a hash process that is being started again."""
CONNECT_PAUSE_S = 0.05


class PasswordHasher:
    """Hashes and verifies passwords in the hash process of the host, or in a child of its own if the settings name no socket."""

    def __init__(self, hashing: Hashing, limits: Limits) -> None:
        self.hashing = hashing
        self._limits = limits
        self._opening: asyncio.Future[_Link] | None = None
        self._being_refused = 0
        self.places = 0
        """Calls that have a place in the queue of the process, or ask for one."""
        self._closed = False
        self.unmatched = unmatched_hash(hashing.cost)

    def allowed(self, network: str) -> "Passwords":
        """Return the right to hash, for one call of a client in a network."""
        return Passwords(self, network)

    async def link(self) -> "_Link":
        """Return the connection to the process, a new one if it was lost; raises HashingUnavailable."""
        if self._closed:
            raise HashingUnavailable
        opening = self._opening
        if opening is None or (opening.done() and (opening.exception() is not None or opening.result().lost)):
            opening = self._opening = asyncio.ensure_future(self._connect(self.hashing.socket) if self.hashing.socket else self._start())
        return await asyncio.shield(opening)  # other calls wait for it too

    async def slow_down(self) -> None:
        """Delay a refusal, unless too many callers are delayed already."""
        if self._being_refused >= self._limits.password_refusals:
            return
        self._being_refused += 1
        try:
            await asyncio.sleep(self._limits.password_refusal_s)
        finally:
            self._being_refused -= 1

    async def close(self) -> None:
        """Close the connection. A process of its own ends at once, and calls that wait for a hash are refused."""
        self._closed = True
        if self._opening is not None:
            with contextlib.suppress(HashingUnavailable):
                await (await self._opening).close()

    async def _connect(self, path: str) -> "_Link":
        try:
            async with asyncio.timeout(CONNECT_S):
                while True:
                    with contextlib.suppress(OSError):
                        return _Link(*await asyncio.open_unix_connection(path))
                    await asyncio.sleep(CONNECT_PAUSE_S)
        except TimeoutError:
            raise HashingUnavailable from None

    async def _start(self) -> "_Link":
        """Start a process that ends at the end of its input, so with the worker."""
        ours, its = socket.socketpair()
        with its:
            process = await asyncio.to_thread(_spawn, process_options(self.hashing, self._limits), its)
        return _Link(*await asyncio.open_unix_connection(sock=ours), process)


def _spawn(options: tuple[str, ...], channel: socket.socket) -> "subprocess.Popen[bytes]":
    """Start a hash process in a session of its own, so that Ctrl-C does not reach it."""
    return subprocess.Popen([*COMMAND, *options], env=python_environ(), stdin=channel.fileno(), start_new_session=True)


def process_options(hashing: Hashing, limits: Limits) -> tuple[str, ...]:
    """Return the command line options of a hash process."""
    return ("--share", str(hashing.share), "--queue", str(limits.password_queue))


class Passwords:
    """The right of one call to hash passwords. Only RPCs whose policy says `hashes_password` get one."""

    def __init__(self, hasher: PasswordHasher, network: str) -> None:
        self._hasher = hasher
        self.network = network

    @asynccontextmanager
    async def place(self, lane: Lane, account: bytes) -> AsyncIterator["Place"]:
        """Hold a place in the queue during a block, for hashes of the account with this digest or id; raises Overloaded."""
        place = Place(self._hasher, lane, self.network, account.hex())
        self._hasher.places += 1
        try:
            await place.enter()
            yield place
        finally:
            self._hasher.places -= 1
            place.leave()


class Place:
    """A place in the queue. If the process ends, its work is sent again, to the next process."""

    def __init__(self, hasher: PasswordHasher, lane: Lane, network: str, account: str) -> None:
        self._hasher = hasher
        self._caller = (lane, network, account)
        self._link: _Link | None = None
        self._number = 0

    async def hash(self, password: str) -> str:
        """Return the hash of a password; raises Overloaded or HashingUnavailable."""
        hashing = self._hasher.hashing
        return str(await self._ask("hash", digest(password, hashing.pepper), hashing.cost))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether the hash is of this password; without a hash return False after the same work.

        Raises Overloaded or HashingUnavailable.
        """
        of = hashed or self._hasher.unmatched
        matches = [await self._ask("verify", each, of) for each in digests(password, self._hasher.hashing.pepper)]
        return any(matches) and hashed is not None  # each digest is verified: the time must not tell which one matches

    async def enter(self) -> None:
        """Take the place; raises Overloaded or HashingUnavailable."""
        await self._retry(self._entered)

    def leave(self) -> None:
        """Give up the place, with the work that waits there."""
        if self._link is not None:
            self._link.leave(self._number)

    async def _ask(self, kind: str, *work: str | int) -> Any:
        async def asked() -> Any:
            link = await self._entered()
            return await link.ask(kind, self._number, *work)

        return await self._retry(asked)

    async def _entered(self) -> "_Link":
        """Return the connection on which this call has its place."""
        link = await self._hasher.link()
        if link is not self._link:
            self._link, self._number = link, link.number()
            await link.ask("enter", self._number, *self._caller)
        return link

    async def _retry(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        try:
            for _ in range(TRIES):
                with contextlib.suppress(_LostError):
                    return await attempt()
        except _RefusedError:
            await self._hasher.slow_down()
            raise Overloaded("too many callers wait for a password to be checked; try again") from None
        raise HashingUnavailable


class _LostError(Exception):
    """The connection ended before the answer."""


class _RefusedError(Exception):
    """The queue is full, or another caller got the place."""


class _Link:
    """A connection to a hash process, and the process if it is the worker's own."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        self._writer = writer
        self._process = process
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._refused: dict[int, bool] = {}
        """Whether a place that a call holds was refused."""
        self.lost = False
        self._reading = asyncio.ensure_future(self._read(reader))

    def number(self) -> int:
        """Return a number for a new place, to be given up by `leave`."""
        self._numbers += 1
        self._refused[self._numbers] = False
        return self._numbers

    async def ask(self, kind: str, number: int, *rest: str | int) -> Any:
        """Send a message about a place and return the result; raises _LostError or _RefusedError."""
        if self.lost:
            raise _LostError
        if self._refused[number]:
            raise _RefusedError
        self._send(kind, number, *rest)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            return await answer
        finally:
            del self._asked[number]

    def leave(self, number: int) -> None:
        """Give up a place."""
        del self._refused[number]
        if not self.lost:
            self._send("leave", number)

    async def close(self) -> None:
        """Close the connection, and kill and reap the worker's own process."""
        self._writer.close()
        await self._reading

    def _send(self, *message: str | int) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hear answers until the connection ends. Then fail what was asked, and kill and reap the worker's own process."""
        try:
            async for line in reader:
                self._hear(*json.loads(line))
        except ConnectionError:
            pass
        finally:
            self.lost = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(_LostError())
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def _hear(self, number: int, kind: str, result: Any = None) -> None:
        answer = self._asked.get(number)
        if kind == "refused" and number in self._refused:
            self._refused[number] = True
        if answer is None or answer.done():
            return
        match kind:
            case "refused":
                answer.set_exception(_RefusedError())
            case "failed":
                answer.set_exception(RuntimeError(f"the hash process: {result}"))
            case _:
                answer.set_result(result)
