"""Readers of the change feed that have no cursor: the listener of a worker, and the export of events."""

import asyncio
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from mercato_server.database.pool import Pool, small_pool
from mercato_server.domain.events import EventKind
from mercato_server.store import events
from mercato_server.store.events import Cursor, Entry, News

POLL_S = 0.1
BATCH = 1_000
NEWS_MAX = 10_000
"""Maximum of events between two polls of a listener; with more, it is cheaper to clear the caches."""
FRESH_S = 0.25
"""Maximum age of a listener's last poll at which the caches count as current: two and a half polls."""


async def read(pool: "Pool", after: Cursor, *, follow: bool) -> AsyncIterator[Entry]:
    """Yield the events after a cursor, each once and in order; with `follow` wait for new events and never end."""
    while True:
        batch = await events.read(pool, after, BATCH)
        for entry in batch:
            yield entry
            after = entry.cursor
        if len(batch) < BATCH:
            if not follow:
                return
            await asyncio.sleep(POLL_S)


class Listener:
    """Passes changes by other workers on to the caches of this worker.

    A cache subscribes to the kinds of events that make its entries stale. When the listener may have missed events, it calls `on_gap`
    instead, and the cache must drop all entries. That is the case at the start, after a lost connection and after too many events.
    """

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._subscribers: dict[str, Callable[[Sequence[News]], None]] = {}
        self._on_gap: list[Callable[[], None]] = []
        self._read_until = -math.inf

    @property
    def current(self) -> bool:
        """Whether the subscribers have received all events that were committed 250 ms ago."""
        return asyncio.get_running_loop().time() - self._read_until < FRESH_S

    @property
    def age_s(self) -> float:
        """Seconds since the start of the last complete poll, infinite before the first; safe to read from any thread."""
        return max(0.0, time.monotonic() - self._read_until)  # the event loop's clock, which may be some milliseconds late

    def subscribe(self, kinds: Collection[EventKind], on_news: Callable[[Sequence[News]], None], on_gap: Callable[[], None]) -> None:
        """Call `on_news` with all events of these kinds from one poll. Two subscribers must not subscribe to the same kind."""
        self._subscribers.update(dict.fromkeys(kinds, on_news))
        self._on_gap.append(on_gap)

    async def listen(self) -> None:
        """Pass events on until cancelled, or until the feed cannot be read."""
        while True:
            try:
                await self._follow()
            finally:
                self._read_until = -math.inf
            await asyncio.sleep(POLL_S)

    async def _follow(self) -> None:
        """Pass events on until one poll returns too many, or until a crash or failover of the database makes earlier ids invalid."""
        kinds = list(self._subscribers)
        seen = await events.seen(self._pool)
        for forget in self._on_gap:
            forget()
        while True:
            began = asyncio.get_running_loop().time()
            before, (seen, news) = seen, await events.news(self._pool, seen, kinds, NEWS_MAX)
            if len(news) == NEWS_MAX or seen.life != before.life:
                return
            self._pass_on(news)
            self._read_until = began
            await asyncio.sleep(POLL_S)

    def _pass_on(self, news: Sequence[News]) -> None:
        parts: dict[Callable[[Sequence[News]], None], list[News]] = defaultdict(list)
        for each in news:
            parts[self._subscribers[each.kind]].append(each)
        for on_news, part in parts.items():
            on_news(part)


async def print_events(database_url: str, *, follow: bool) -> None:
    """Write the feed to standard output, one JSON object per line; with `follow` until the operator interrupts it."""
    async with small_pool(database_url) as pool:
        async for entry in read(pool, Cursor(), follow=follow):
            place = {"xid": entry.cursor.xid, "id": entry.cursor.id}
            line = {**place, "kind": entry.kind, "subject_id": str(entry.subject_id), **entry.payload}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
