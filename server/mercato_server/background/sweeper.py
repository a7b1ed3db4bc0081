"""The background task that deletes expired rows."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from mercato_server.config.settings import GuestRules, Limits
from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store import feed_cursors, guests
from mercato_server.store.sweeps import BATCH, sweep
from mercato_server.tracing.steps import later

if TYPE_CHECKING:
    from mercato_server.tracing.spans import Tracer

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 60.0
GUEST_IDLE_S = GuestRules().idle_s


async def keep_sweeping(
    pool: "Pool",
    limits: Limits,
    interval_s: float = SWEEP_INTERVAL_S,
    guest_idle_s: float = GUEST_IDLE_S,
    tracer: "Tracer | None" = None,
) -> None:
    """Delete expired rows about once an interval, until cancelled, and guests that were not used for `guest_idle_s`.

    A consumer that blocks the sweep of events too long is marked lost.
    """
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        with later(tracer, "sweep"):
            for name in await feed_cursors.mark_lost(pool, limits.feed_lost_s):
                log.error("a consumer has not moved for too long; events are swept unread", consumer=name)
            while await sweep(pool) >= BATCH:
                pass
            while await guests.sweep(pool, BATCH, guest_idle_s) >= BATCH:
                pass
