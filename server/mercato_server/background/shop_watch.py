"""The background tasks that count over the whole shop for the worker's metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff

Counts = TypeVar("Counts")

JOBS_INTERVAL_S = 15.0
STOCK_INTERVAL_S = 300.0
"""The stock of all products is read for it, so rarely."""
REST = 200.0
"""A count is followed by a pause of so many times its length: each worker takes half a percent of a core of the database at most."""


class ShopWatch(Generic[Counts]):
    """The newest counts. There are none before the first, and after a failure: old ones would hide that the database is away."""

    def __init__(self, pool: "Pool", read: Callable[["Pool"], Awaitable[Counts]], interval_s: float) -> None:
        self._pool = pool
        self._read = read
        self._interval_s = interval_s
        self.counts: Counts | None = None

    async def keep(self) -> None:
        """Count about once an interval, until cancelled, and more rarely if that takes long."""
        while True:
            began = time.monotonic()
            try:
                self.counts = await self._read(self._pool)
            except BaseException:
                self.counts = None
                raise
            await asyncio.sleep(max(backoff.jittered(self._interval_s), REST * (time.monotonic() - began)))
