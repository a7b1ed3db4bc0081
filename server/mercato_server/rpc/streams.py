"""Bounds of the streams that a worker serves beside its calls: health watches and reflection.

gRPC's own services serve them, not the layers. A client can hold a stream for as long as it likes, and ask much with it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mercato_server.config.holding import Holding
from mercato_server.domain.errors import StreamTooLong, TooManyStreams
from mercato_server.domain.networks import network_of
from mercato_server.rpc.callers import Places
from mercato_server.rpc.headers import CLIENT_ADDRESS
from mercato_server.rpc.statuses import abort


class Streams:
    """Bounds the streams of each caller."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._places = Places(holding.streams_per_client)
        self._turns = Turns(holding.reflection_requests_per_s)

    @asynccontextmanager
    async def place(self, transport: Any) -> AsyncIterator[None]:
        """Hold a place of the caller during a block; ends the call if the caller has all its places."""
        caller = network_of(dict(transport.invocation_metadata() or ()).get(CLIENT_ADDRESS, ""))
        if not self._places.take(caller):
            await abort(transport, TooManyStreams(self._holding.streams_per_client))
        try:
            yield
        finally:
            self._places.free(caller)

    async def paced(self, requests: AsyncIterator[Any], transport: Any) -> AsyncIterator[Any]:
        """Yield the requests of a reflection stream in turn with those of others; ends the call when there are too many."""
        taken = 0
        async for request in requests:
            taken += 1
            if taken > self._holding.reflection_requests:
                await abort(transport, StreamTooLong(self._holding.reflection_requests))
            await self._turns.next()
            yield request


class Turns:
    """Lets callers pass one by one, at a bounded rate, in the order in which they come."""

    def __init__(self, per_s: float) -> None:
        self._step_s = 1 / per_s
        self._next = 0.0

    async def next(self) -> None:
        """Wait for a turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._step_s
        await asyncio.sleep(turn - now)
