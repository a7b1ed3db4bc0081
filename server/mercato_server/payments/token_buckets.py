"""Limits of the requests that a worker sends to a provider, so that sweeps never use up the requests of buyers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum

from mercato_server.payments.provider import Certainty, ProviderError

SUSTAINED = 0.8
"""Part of a limit that flows steadily; the rest is the burst, so that no second has more than the limit."""


class Lane(Enum):
    """Requests that share a part of the limit and a number of connections, apart from those of other lanes."""

    BUYERS = (0.25, 32)
    READS = (0.45, 32)
    CHANGES = (0.30, 32)

    def __init__(self, share: float, in_flight: int) -> None:
        self.share = share
        """Part of the requests of a second."""
        self.in_flight = in_flight


class Operation(Enum):
    """A named operation of Stripe's, with its lane. Stripe takes a quarter of all requests for each: here the shares of a name."""

    CREATE = ("payment_intents.create", Lane.BUYERS, 0.20)
    READ_SECRET = ("payment_intents.retrieve", Lane.BUYERS, 0.05)
    READ = ("payment_intents.retrieve", Lane.READS, 0.20)
    LIST = ("payment_intents.list", Lane.READS, 0.25)
    LIST_REFUNDS = ("refunds.list", Lane.READS, 0.25)
    LIST_DISPUTES = ("disputes.list", Lane.READS, 0.25)
    READ_REFUND = ("refunds.retrieve", Lane.CHANGES, 0.25)
    CAPTURE = ("payment_intents.capture", Lane.CHANGES, 0.25)
    CANCEL = ("payment_intents.cancel", Lane.CHANGES, 0.25)
    REFUND = ("refunds.create", Lane.CHANGES, 0.25)

    def __init__(self, title: str, lane: Lane, share: float) -> None:
        self.title, self.lane, self.share = title, lane, share


class TokenBucket:
    """Lets so many requests pass in a second; those that wait have turns in the order in which they came."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second * SUSTAINED
        self._size = max(1.0, per_second * (1 - SUSTAINED))
        self._clock = clock
        self._tokens, self._at_s = self._size, clock()

    def wait_s(self) -> float:
        """Return the seconds after which a request that takes a token now may go."""
        now_s = self._clock()
        self._tokens = min(self._size, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        return max(0.0, (1 - self._tokens) / self._rate)

    def take(self) -> None:
        """Take a token, also one that comes later."""
        self._tokens -= 1

    def give_back(self) -> None:
        """Return the token of a request that does not go."""
        self._tokens += 1


class Turns:
    """The turns of a worker's requests: a bucket and a number of connections for each lane, a bucket for each operation."""

    def __init__(self, per_second: float) -> None:
        self._lanes = {lane: TokenBucket(per_second * lane.share) for lane in Lane}
        self._operations = {each: TokenBucket(per_second * each.share) for each in Operation}
        self._in_flight = {lane: asyncio.Semaphore(lane.in_flight) for lane in Lane}

    @asynccontextmanager
    async def turn(self, operation: Operation, wait_max_s: float) -> AsyncIterator[None]:
        """Wait for a turn, and hold a connection's place during a block.

        Raises ProviderError, before the block, if the wait would be too long.
        """
        in_flight = self._in_flight[operation.lane]
        try:
            async with asyncio.timeout(wait_max_s):
                await self._take(operation, wait_max_s)
                await in_flight.acquire()
        except TimeoutError:
            raise _refusal(operation, wait_max_s) from None
        try:
            yield
        finally:
            in_flight.release()

    async def _take(self, operation: Operation, wait_max_s: float) -> None:
        buckets = (self._lanes[operation.lane], self._operations[operation])
        wait_s = max(bucket.wait_s() for bucket in buckets)
        if wait_s > wait_max_s:
            raise _refusal(operation, wait_s)
        for bucket in buckets:
            bucket.take()
        if wait_s:
            try:
                await asyncio.sleep(wait_s)
            except asyncio.CancelledError:
                for bucket in buckets:
                    bucket.give_back()
                raise


def _refusal(operation: Operation, wait_s: float) -> ProviderError:
    return ProviderError(Certainty.UNSENT, "local_limit", f"too many requests of {operation.title}", retry_after_s=wait_s)
