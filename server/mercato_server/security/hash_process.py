"""The process that hashes passwords for the workers of a host. It answers on a Unix socket, or to the worker that started it.

Passwords never enter it: workers send keyed digests of them, which it hashes with bcrypt. A child of its own hashes, pinned to one core of
the host, while this process keeps the queue. It stops and continues the child so that the child takes its share of the core and no more
while other processes want it; the whole core otherwise. SCHED_IDLE and nice levels cannot do both: beside a busy loop the first gets
nothing, and the share of the second shrinks with each further loop.

A message is one JSON array in a line. A worker sends [`enter`, place, lane, network, account], [`verify`, place, digest, hash],
[`hash`, place, digest, cost] and [`leave`, place]. It gets [place, `admitted`], [place, `refused`], [place, `done`, result] and
[place, `failed`, text]. The number of a place is the worker's choice.
"""

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import bcrypt

from mercato_server.security.hash_queue import HashQueue, Lane, Place, QueueFullError

SLICE_S = 0.02
"""How often the child's use of its core is measured while it hashes."""
ALONE = 0.9
"""Part of a slice that the child gets at least on a core that no other process wants."""

NAME = b"mercato-hashing"
"""Name of both processes in ps(1); at most 15 bytes."""

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Serve until the worker that started this closes standard input or, with `--listen`, until a signal."""
    parser = argparse.ArgumentParser(description="Hash passwords for the workers of a host.")
    parser.add_argument("--share", type=int, required=True, help="per cent of one core while other processes want it")
    parser.add_argument("--queue", type=int, required=True, help="places of each lane of the queue")
    parser.add_argument("--listen", type=Path, help="path of a Unix socket; without it, standard input is a socket")
    options = parser.parse_args()
    os.umask(0o077)
    _LIBC.prctl(_PR_SET_NAME, NAME, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    child = Child.start(options.share / 100)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Service(HashQueue(options.queue), child), options.listen))


class Child:
    """The child that hashes, one digest after the other. If it ends, so does this process, and its supervisor starts both again."""

    def __init__(self, pid: int, channel: socket.socket, share: float) -> None:
        self._pid = pid
        self._channel = channel
        self._share = share
        self._clock = (~pid << 3) | 2  # the process's CPU clock, as clock_getcpuclockid(3) makes it
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @classmethod
    def start(cls, share: float) -> "Child":
        """Fork the child. Call this before the event loop starts."""
        ours, its = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _hash_until_end(its, parent)
        its.close()
        return cls(pid, ours, share)

    async def answer(self, work: Any) -> list[Any]:
        """Return the answer to a piece of work: `done` and a result, or `failed` and a text."""
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(sock=self._channel)
        reader, writer = self._streams
        writer.write(json.dumps(work).encode() + b"\n")
        line = await self._paced(asyncio.ensure_future(reader.readline()))
        if not line:
            raise ConnectionResetError("the process that hashes passwords has ended")
        answer: list[Any] = json.loads(line)
        return answer

    async def _paced(self, hashing: "asyncio.Future[bytes]") -> bytes:
        """Return the result of a hash; stop the child meanwhile for as long as its share demands."""
        while True:
            began, had_s = time.monotonic(), time.clock_gettime(self._clock)
            await asyncio.wait((hashing,), timeout=SLICE_S)
            if hashing.done():
                return hashing.result()
            pause_s = pause(time.clock_gettime(self._clock) - had_s, time.monotonic() - began, self._share)
            if pause_s > 0:
                os.kill(self._pid, signal.SIGSTOP)
                await asyncio.sleep(pause_s)
                os.kill(self._pid, signal.SIGCONT)


def pause(ran_s: float, took_s: float, share: float) -> float:
    """Return the seconds to pause after a slice of `took_s` in which the child ran for `ran_s`, so that it takes its share in all.

    A child that had nearly all of the slice has the core for itself, and does not pause.
    """
    return 0.0 if ran_s >= took_s * ALONE else max(0.0, ran_s / share - took_s)


class Service:
    """Serves the work of all connections, in the order of the queue."""

    def __init__(self, queue: HashQueue, child: Child) -> None:
        self._queue = queue
        self._child = child
        self._added = asyncio.Event()
        self._writers: dict[Place, tuple[int, asyncio.StreamWriter]] = {}

    async def work(self) -> NoReturn:
        """Hash for ever; raises ConnectionResetError when the child has ended."""
        while True:
            place = self._queue.next()
            if place is None:
                self._added.clear()
                await self._added.wait()
                continue
            work, place.work = place.work, None
            answer = await self._child.answer(work)
            self._tell(place, *answer)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a worker until it closes the connection; its places end with it."""
        places: dict[int, Place] = {}
        try:
            with contextlib.suppress(ConnectionError):
                async for line in reader:
                    self._hear(json.loads(line), places, writer)
        finally:
            for place in places.values():
                self._forget(place)
            writer.close()

    def _hear(self, message: list[Any], places: dict[int, Place], writer: asyncio.StreamWriter) -> None:
        match message:
            case ["enter", int(number), lane, str(network), str(account)]:
                place = places[number] = Place(Lane(lane), network, account)
                self._writers[place] = number, writer
                self._enter(place)
            case ["leave", int(number)]:
                self._forget(places.pop(number))
            case ["verify" | "hash", int(number), str(), str() | int()] if places[number] in self._writers:  # else it was displaced
                self._queue.add(places[number], [message[0], *message[2:]])
                self._added.set()

    def _enter(self, place: Place) -> None:
        try:
            displaced = self._queue.enter(place)
        except QueueFullError:
            displaced = place
        else:
            self._tell(place, "admitted")
        if displaced is not None:
            self._tell(displaced, "refused")
            self._forget(displaced)

    def _forget(self, place: Place) -> None:
        self._queue.leave(place)
        self._writers.pop(place, None)

    def _tell(self, place: Place, *answer: Any) -> None:
        """Send an answer, unless the place was left meanwhile."""
        if place in self._writers:
            number, writer = self._writers[place]
            writer.write(json.dumps([number, *answer]).encode() + b"\n")


async def _serve(service: Service, path: Path | None) -> None:
    if path is not None:
        server = await asyncio.start_unix_server(service.connected, path)
        try:
            await service.work()
        finally:
            server.close()  # before the connections, whose workers connect again: to the next process, not to this one
    streams = await asyncio.open_unix_connection(sock=socket.socket(fileno=sys.stdin.fileno()))
    tasks = [asyncio.ensure_future(service.connected(*streams)), asyncio.ensure_future(service.work())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _hash_until_end(channel: socket.socket, parent: int) -> NoReturn:
    """Answer each line until the parent closes the channel or ends.

    Linux compares sessions before it compares their processes (sched(7), autogroup). A session of its own gives the child a fair share.
    """
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if os.getppid() != parent:  # it ended before the call, so no signal will come
        os._exit(1)
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt), channel.makefile("rb") as lines:
        for line in lines:
            channel.sendall(json.dumps(_hash(*json.loads(line))).encode() + b"\n")
    os._exit(0)


def _hash(kind: str, digest: str, by: Any) -> tuple[str, Any]:
    """Compare a digest with a hash, or hash it at a cost."""
    try:
        if kind == "verify":
            return "done", bcrypt.checkpw(digest.encode(), by.encode())
        return "done", bcrypt.hashpw(digest.encode(), bcrypt.gensalt(by)).decode()
    except ValueError as error:  # the stored hash is none
        return "failed", str(error)


if __name__ == "__main__":
    main()
