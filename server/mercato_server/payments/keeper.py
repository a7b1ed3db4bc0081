"""The background work of payments: what is due at providers, again and again. A notice or a call wakes it at once."""

import asyncio
from contextlib import suppress

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.payments.inbox import Inbox
from mercato_server.payments.outbox import Outbox
from mercato_server.store import told_facts

INTERVAL_S = 1.0
BATCH = 100


class Keeper:
    """Sends requests, applies notices, and reads payments whose notice may be lost; all workers do it, each row is leased by one."""

    def __init__(self, pool: "Pool", outbox: Outbox, inbox: Inbox, interval_s: float = INTERVAL_S) -> None:
        self._pool = pool
        self._outbox = outbox
        self._inbox = inbox
        self._interval_s = interval_s
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Let the next round begin now."""
        self._awake.set()

    async def keep(self) -> None:
        """Do what is due, about once an interval, until cancelled."""
        while True:
            self._awake.clear()
            while await self.round():
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff.jittered(self._interval_s)):
                    await self._awake.wait()

    async def round(self) -> bool:
        """Do one batch of each kind of work; return whether there may be more."""
        done = (
            await self._inbox.apply_events(),
            await self._outbox.settle_due(),
            await self._inbox.read_due(),
            await told_facts.capture_lapsing(self._pool, BATCH),
        )
        return any(done)
