"""Consumers of the change feed: each handles events of some kinds once and in order, in the transaction that moves its cursor."""

import asyncio
import math
import time
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.store import feed_cursors, quarantine
from mercato_server.store.events import Cursor
from mercato_server.store.feed_cursors import Backlog, EventsFailedError, Handle, OnGap

log = structlog.get_logger(__name__)

POLL_S = 0.2
BATCH = 500
MOVE_S = 60.0
"""Maximum time between two moves of a cursor, also without events for its consumer; only one worker writes the move."""
PAUSE_MAX_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A reader of the change feed that must not miss an event."""

    name: ConsumerName
    kinds: Collection[EventKind]
    handle: Handle
    """Handle events in the given transaction, which must contain all effects of the handler."""
    on_gap: OnGap
    """Compensate for events after the given time that the sweep may have deleted unread. The remaining events follow."""


class Follower:
    """Runs a consumer in a worker. Other workers run it too; the worker that locks the cursor first handles the events."""

    def __init__(self, pool: "Pool", consumer: Consumer, limits: Limits) -> None:
        self.consumer = consumer
        self.lag = Lag()
        self.quarantined = 0
        """The number of the consumer's events in quarantine at the last count."""
        self.gaps = 0
        """The number of times that the consumer was lost and this worker resumed it."""
        self._pool = pool
        self._limits = limits
        self._one_by_one = 0
        """The number of events to handle one by one, because one of them fails."""

    async def open(self) -> None:
        """Create the cursor at the end of the feed, unless it exists; a new consumer handles the events after this moment."""
        await feed_cursors.open_cursor(self._pool, self.consumer.name)

    async def follow(self) -> None:
        """Handle events until cancelled, or until the database is unavailable."""
        await self.open()
        await self._resume()
        seen, upkeep_due = await feed_cursors.get(self._pool, self.consumer.name), -math.inf
        while True:
            began = time.monotonic()
            backlog = await feed_cursors.backlog(self._pool, seen, self.consumer.kinds)
            self.lag.note(began, backlog)
            if backlog.waiting_s is not None:
                await self._take()
                seen = await feed_cursors.get(self._pool, self.consumer.name)
            else:
                seen = backlog.end
                await asyncio.sleep(POLL_S)
            if began >= upkeep_due:
                await self._keep_up(seen)
                upkeep_due = began + self._limits.feed_upkeep_s

    async def _take(self) -> None:
        limit = 1 if self._one_by_one else BATCH
        try:
            taken = await feed_cursors.take(self._pool, self.consumer.name, self.consumer.kinds, limit, self.consumer.handle)
        except EventsFailedError as failed:
            await self._failed(failed)
        else:
            self._one_by_one = max(self._one_by_one - taken, 0)

    async def _failed(self, failed: EventsFailedError) -> None:
        """Isolate the event that fails, and pause before the next attempt, or put the event into quarantine."""
        name, cause = self.consumer.name, failed.__cause__
        if len(failed.pending) > 1:
            self._one_by_one = len(failed.pending)
            log.warning("events cannot be handled together", consumer=name.value, events=len(failed.pending), error=repr(cause))
            return
        failures, quarantined = await feed_cursors.count_failure(self._pool, name, failed, type(cause).__name__, self._limits.feed_tries)
        [event] = failed.pending
        message = "an event was put into quarantine" if quarantined else "an event cannot be handled"
        log.error(message, consumer=name.value, kind=event.kind, subject=str(event.subject_id), failures=failures, exc_info=cause)
        if not quarantined:
            await asyncio.sleep(backoff.pause_s(self._limits.feed_pause_s, failures, PAUSE_MAX_S))

    async def _resume(self) -> None:
        since = await feed_cursors.resume(self._pool, self.consumer.name, self.consumer.on_gap)
        if since is not None:
            self.gaps += 1
            log.error("a consumer was lost; it may have missed events", consumer=self.consumer.name.value, since=since.isoformat())

    async def _keep_up(self, seen: Cursor) -> None:
        """Move the cursor past events of other kinds, and retry the quarantined events that operators have requested."""
        name = self.consumer.name
        await feed_cursors.advance_idle(self._pool, name, seen, MOVE_S)
        self.quarantined, wanted = await quarantine.count(self._pool, name)
        if wanted:
            await self._retry()
            self.quarantined, _ = await quarantine.count(self._pool, name)

    async def _retry(self) -> None:
        """Retry the quarantined events that operators have requested, up to the first failure."""
        name = self.consumer.name
        try:
            while await quarantine.retry_next(self._pool, name, self.consumer.handle):
                log.info("an event has left the quarantine", consumer=name.value)
        except quarantine.RetryFailedError as failed:
            await quarantine.fail_again(self._pool, failed.id, type(failed.__cause__).__name__)
            log.exception("an event cannot be handled", consumer=name.value, quarantined=failed.id)


class Lag:
    """The lag of a consumer: the age of the oldest event that it has not handled, or that was not visible to it yet."""

    def __init__(self) -> None:
        self._up_to_date = -math.inf
        self._mark: tuple[int, float] | None = None
        """A time, and the first transaction id that was not assigned then."""

    @property
    def seconds(self) -> float:
        """The current lag, infinite before the first read; safe to read from any thread."""
        return max(0.0, time.monotonic() - self._up_to_date)

    def note(self, began: float, backlog: Backlog) -> None:
        """Update the lag with the result of a read that began at `began`.

        A consumer reads only below the oldest running transaction, so a long transaction delays it. It has seen all transactions that
        began before the mark when the oldest running one began after it.
        """
        if backlog.waiting_s is not None:
            self._up_to_date = began - backlog.waiting_s
            self._mark = None
            return
        mark = self._mark or (backlog.xmax, began)
        if backlog.end.xid + 1 >= mark[0]:
            self._up_to_date = mark[1]
            mark = (backlog.xmax, began)
        self._mark = mark
