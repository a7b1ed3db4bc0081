"""A process that shares a stored session with others: `sharing.py TARGET PATH FAULT DESCRIPTOR...`.

It forks a process for each socket once it has loaded the client, and before any call. A line of a socket is a command, and its answer a
line: the account that the process is logged in as, or its error.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from mercato import AsyncClient, Client
from mercato.sessions import FileStore, Session

GO, DIE = "go", "die"
"""Commands: make calls; die after the next refresh, before its session is saved."""
NO_FAULT, BLIND = "none", "blind"
"""Faults: none; a store that takes no lock, and knows only the session that it has read first or saved itself."""
CALL_S = 30.0
AT_ONCE = 3
"""Calls that a process with an event loop makes at the same time."""


class Store(FileStore):
    """Dies with its process in the worst moment, if told to."""

    dies = False

    def save(self, session: Session) -> None:
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        super().save(session)


class Blind(Store):
    """A store with a fault: it does not look at what others have saved."""

    known: Session | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def load(self) -> Session | None:
        self.known = self.known or super().load()
        return self.known

    def save(self, session: Session) -> None:
        self.known = session
        super().save(session)


STORES: dict[str, Callable[[str], Store]] = {NO_FAULT: Store, BLIND: Blind}


def live(target: str, store: Store, commands: IO[str], answers: IO[str]) -> None:
    """Follow commands with a `Client`."""
    with Client(target, session=store, timeout=CALL_S) as shop:
        for command in commands:
            store.dies = command.strip() == DIE
            try:
                told = shop.users.get_me().id
            except Exception as error:  # noqa: BLE001 - the test reports it
                told = repr(error)
            print(told, file=answers, flush=True)


async def live_async(target: str, store: Store, commands: IO[str], answers: IO[str]) -> None:
    """Follow commands with an `AsyncClient`, and make several calls at once."""
    async with AsyncClient(target, session=store, timeout=CALL_S) as shop:
        while command := await asyncio.to_thread(commands.readline):
            store.dies = command.strip() == DIE
            found = await asyncio.gather(*(shop.users.get_me() for _ in range(AT_ONCE)), return_exceptions=True)
            told = {repr(each) if isinstance(each, BaseException) else each.id for each in found}
            print(*told, file=answers, flush=True)


def become(number: int, target: str, store: Store, descriptor: int) -> None:
    """Follow the commands of a socket until it is closed; every second process has an event loop."""
    with socket.socket(fileno=descriptor) as own, own.makefile("r") as commands, own.makefile("w") as answers:
        if number % 2:
            asyncio.run(live_async(target, store, commands, answers))
        else:
            live(target, store, commands, answers)


def main(target: str, path: str, fault: str, descriptors: Sequence[int]) -> None:
    """Fork the processes, and wait for their end."""
    for number, descriptor in enumerate(descriptors):
        if os.fork() == 0:
            for other in descriptors:
                if other != descriptor:
                    os.close(other)
            try:
                become(number, target, STORES[fault](path), descriptor)
            finally:
                os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    for _ in descriptors:
        os.wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], [int(each) for each in sys.argv[4:]])
