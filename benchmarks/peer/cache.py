"""A read-through cache of answers in this process, with a time to live."""

import time
from collections.abc import Awaitable, Callable, Hashable, Iterable

ANSWERS_MAX = 10_000


class Cache:
    """Keeps serialized answers for a time; without one it keeps nothing.

    `forget` removes what this process has changed. A change by another process shows once the time is over, as with any such cache.
    """

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, bytes]] = {}

    async def get(self, key: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the answer of a key, loaded unless a young one is there."""
        if not self._ttl_s:
            return await load()
        until, answer = self._answers.get(key, (0.0, b""))
        if self._clock() < until:
            return answer
        read_at = self._clock()
        answer = await load()
        self._answers.pop(key, None)  # so that the first key is the oldest
        self._answers[key] = (read_at + self._ttl_s, answer)
        if len(self._answers) > ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]
        return answer

    def forget(self, keys: Iterable[Hashable]) -> None:
        """Remove the answers of some keys."""
        for key in keys:
            self._answers.pop(key, None)

    def clear(self) -> None:
        """Remove all answers."""
        self._answers.clear()
