"""Hashing of passwords beside the event loop, on a bounded number of threads with a bounded queue."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mercato_server.config import Hashing, Limits
from mercato_server.domain.errors import Overloaded
from mercato_server.domain.passwords import hash_password, unmatched_hash, verify_password

Result = TypeVar("Result")

LOWEST_PRIORITY = 19


class PasswordHasher:
    """Hashes and verifies; a hash costs about 0.25 s of a core at cost 12, so what cannot be done soon is refused."""

    def __init__(self, hashing: Hashing, limits: Limits) -> None:
        self._pepper = hashing.pepper
        self._cost = hashing.cost
        self._limits = limits
        self._most = limits.password_queue + hashing.threads
        self._waiting = 0
        self._being_refused = 0
        self._threads = ThreadPoolExecutor(hashing.threads, "bcrypt", initializer=_step_back)
        self._nobody = unmatched_hash(self._cost)

    async def require_room(self) -> None:
        """Raise Overloaded if another hash would be refused; after a moment, or whoever asks again at once would keep the worker busy."""
        if self._waiting >= self._most:
            await self._slow_down()
            raise Overloaded("too many logins are waiting; try again")

    async def hash(self, password: str) -> str:
        """Return the hash of a password; raises Overloaded."""
        return await self._run(lambda: hash_password(password, pepper=self._pepper, cost=self._cost))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether the hash is of this password; without a hash the answer is no, after the same work. Raises Overloaded."""
        return await self._run(lambda: verify_password(password, hashed or self._nobody, pepper=self._pepper)) and hashed is not None

    def close(self) -> None:
        """End the threads, without waiting for what they do."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        await self.require_room()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def _slow_down(self) -> None:
        """Let a caller who is about to be refused wait, unless too many do already."""
        if self._being_refused >= self._limits.password_refusals:
            return
        self._being_refused += 1
        try:
            await asyncio.sleep(self._limits.password_refusal_s)
        finally:
            self._being_refused -= 1


def _step_back() -> None:
    """Give this thread the lowest priority: hashing takes the processor time that nothing else wants."""
    if sys.platform == "linux":  # elsewhere priorities belong to processes
        with contextlib.suppress(OSError):  # a sandbox may forbid it; a thread without a priority of its own hashes all the same
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
