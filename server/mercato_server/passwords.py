"""Hashing of passwords beside the event loop, on a bounded number of threads with a bounded queue."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mercato_server.config import Hashing
from mercato_server.domain.errors import Overloaded
from mercato_server.domain.passwords import hash_password, unmatched_hash, verify_password

Result = TypeVar("Result")


class PasswordHasher:
    """Hashes and verifies; a hash costs about 0.25 s of a core at cost 12, so what cannot be done soon is refused at once."""

    def __init__(self, hashing: Hashing, queue: int) -> None:
        self._pepper = hashing.pepper
        self._cost = hashing.cost
        self._most = queue + hashing.threads
        self._waiting = 0
        self._threads = ThreadPoolExecutor(hashing.threads, "bcrypt")
        self._nobody = unmatched_hash(self._cost)

    def require_room(self) -> None:
        """Raise Overloaded if another hash would be refused."""
        if self._waiting >= self._most:
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
        self.require_room()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
