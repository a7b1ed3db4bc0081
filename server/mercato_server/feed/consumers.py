"""Consumers of the change feed: each handles the events of some kinds once and in order, in the transaction that moves its cursor."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.store import feed_cursors, quarantine
from mercato_server.store.events import Cursor, Entry
from mercato_server.store.feed_cursors import EventsFailedError, Sight

log = structlog.get_logger(__name__)

POLL_S = 0.2
BATCH = 500
MOVE_S = 60.0
"""A cursor moves at least so often, also where there is nothing for its consumer; one worker of all writes that."""
PAUSE_MAX_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A reader of the change feed that must miss nothing."""

    name: ConsumerName
    kinds: Collection[EventKind]
    handle: Callable[["Conn", Sequence[Entry]], Awaitable[None]]
    """Make of events what is to be made of them, in the transaction that is given: it has all its effects there."""
    on_gap: Callable[["Conn", datetime], Awaitable[None]]
    """Make up for events that may have been swept unread, since a moment; what the feed still holds follows."""


class Follower:
    """Runs a consumer in a worker, beside those of other workers: whichever locks the cursor first handles the events."""

    def __init__(self, pool: "Pool", consumer: Consumer, limits: Limits) -> None:
        self.consumer = consumer
        self.lag = Lag()
        self.quarantined = 0
        """Events of the consumer in quarantine, as they were last counted."""
        self.gaps = 0
        """How often it was lost, and began again here."""
        self._pool = pool
        self._limits = limits
        self._one_by_one = 0
        """How many events are to be handled alone, since one of them fails."""

    async def open(self) -> None:
        """Note where the feed is, unless the consumer has begun before: it handles what comes after this."""
        await feed_cursors.open_cursor(self._pool, self.consumer.name)

    async def follow(self) -> None:
        """Handle events until cancelled, or until the database is away."""
        await self.open()
        await self._resume()
        seen, upkeep_due = await feed_cursors.get(self._pool, self.consumer.name), -math.inf
        while True:
            asked = time.monotonic()
            sight = await feed_cursors.look(self._pool, seen, self.consumer.kinds)
            self.lag.note(asked, sight)
            if sight.waiting_s is not None:
                await self._take()
                seen = await feed_cursors.get(self._pool, self.consumer.name)
            else:
                seen = sight.end
                await asyncio.sleep(POLL_S)
            if asked >= upkeep_due:
                await self._keep_up(seen)
                upkeep_due = asked + self._limits.feed_upkeep_s

    async def _take(self) -> None:
        limit = 1 if self._one_by_one else BATCH
        try:
            taken = await feed_cursors.take(self._pool, self.consumer.name, self.consumer.kinds, limit, self.consumer.handle)
        except EventsFailedError as failed:
            await self._failed(failed)
        else:
            self._one_by_one = max(self._one_by_one - taken, 0)

    async def _failed(self, failed: EventsFailedError) -> None:
        """Find the event that cannot be handled, and pause before it is tried again, or put it aside."""
        name, cause = self.consumer.name, failed.__cause__
        if len(failed.pending) > 1:
            self._one_by_one = len(failed.pending)
            log.warning("events cannot be handled together", consumer=name.value, events=len(failed.pending), error=repr(cause))
            return
        failures, aside = await feed_cursors.count_failure(self._pool, name, failed, type(cause).__name__, self._limits.feed_tries)
        [event] = failed.pending
        told = "an event was put into quarantine" if aside else "an event cannot be handled"
        log.error(told, consumer=name.value, kind=event.kind, subject=str(event.subject_id), failures=failures, exc_info=cause)
        if not aside:
            longest = min(self._limits.feed_pause_s * 2.0 ** max(failures - 1, 0), PAUSE_MAX_S)
            await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret

    async def _resume(self) -> None:
        since = await feed_cursors.resume(self._pool, self.consumer.name, self.consumer.on_gap)
        if since is not None:
            self.gaps += 1
            log.error("a consumer was lost; it may have missed events", consumer=self.consumer.name.value, since=since.isoformat())

    async def _keep_up(self, seen: Cursor) -> None:
        """Move the cursor over what is not for the consumer, and try again what administrators have asked for."""
        name = self.consumer.name
        await feed_cursors.advance_idle(self._pool, name, seen, MOVE_S)
        self.quarantined, wanted = await quarantine.count(self._pool, name)
        if wanted:
            await self._retry()
            self.quarantined, _ = await quarantine.count(self._pool, name)

    async def _retry(self) -> None:
        """Try again what administrators have asked for, up to the first failure."""
        name = self.consumer.name
        try:
            while await quarantine.retry_next(self._pool, name, self.consumer.handle):
                log.info("an event has left the quarantine", consumer=name.value)
        except quarantine.RetryFailedError as failed:
            await quarantine.fail_again(self._pool, failed.id, type(failed.__cause__).__name__)
            log.exception("an event cannot be handled", consumer=name.value, quarantined=failed.id)


class Lag:
    """How far a consumer is behind: the age of what it has not handled, or has not been able to see."""

    def __init__(self) -> None:
        self._up_to_date = -math.inf
        self._mark: tuple[int, float] | None = None
        """The first transaction that had not begun at a moment, and that moment."""

    @property
    def seconds(self) -> float:
        """Return the lag now, infinite before the first look; any thread may ask."""
        return max(0.0, time.monotonic() - self._up_to_date)

    def note(self, asked: float, sight: Sight) -> None:
        """Take a look into account that began at a moment.

        What had begun by the mark has been seen once the oldest running transaction is younger: a long one holds the readers up.
        """
        if sight.waiting_s is not None:
            self._up_to_date = asked - sight.waiting_s
            self._mark = None
            return
        mark = self._mark or (sight.xmax, asked)
        if sight.end.xid + 1 >= mark[0]:
            self._up_to_date = mark[1]
            mark = (sight.xmax, asked)
        self._mark = mark
