"""Readers of the change feed."""

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
"""Events between two polls of a listener; with more it is better off forgetting all that it knows."""
FRESH_S = 0.25
"""How old what a listener has heard may be to rely on it: two polls and a half."""


async def read(pool: "Pool", after: Cursor, *, follow: bool) -> AsyncIterator[Entry]:
    """Give the events after a cursor, each once and in order; with `follow` go on for ever with what is to come."""
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
    """Tells a worker what others change.

    A subscriber that keeps something in memory names the kinds of events that make it stale. Whenever events may have been missed (at the
    start, after a lost connection, or when there were too many) its `on_gap` is called instead: it can rely on nothing that it knew.
    """

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._subscribers: dict[str, Callable[[Sequence[News]], None]] = {}
        self._on_gap: list[Callable[[], None]] = []
        self._heard_until = -math.inf

    @property
    def current(self) -> bool:
        """Whether all that was committed 250 ms ago has been passed on."""
        return asyncio.get_running_loop().time() - self._heard_until < FRESH_S

    @property
    def age_s(self) -> float:
        """How long ago the last poll began of which all has been passed on, infinite while there is none; any thread may ask."""
        return max(0.0, time.monotonic() - self._heard_until)  # the clock of the event loop, which may lag behind by some milliseconds

    def subscribe(self, kinds: Collection[EventKind], on_news: Callable[[Sequence[News]], None], on_gap: Callable[[], None]) -> None:
        """Call `on_news` with all events of these kinds that one poll has brought; no two subscribers name the same kind."""
        self._subscribers.update(dict.fromkeys(kinds, on_news))
        self._on_gap.append(on_gap)

    async def listen(self) -> None:
        """Go on until cancelled, or until the feed cannot be read."""
        while True:
            try:
                await self._follow()
            finally:
                self._heard_until = -math.inf
            await asyncio.sleep(POLL_S)

    async def _follow(self) -> None:
        """Pass on events until there are more than can be passed on, or until the ids of their transactions begin anew."""
        kinds = list(self._subscribers)
        seen = await events.seen(self._pool)
        for forget in self._on_gap:
            forget()
        while True:
            asked = asyncio.get_running_loop().time()
            before, (seen, news) = seen, await events.news(self._pool, seen, kinds, NEWS_MAX)
            if len(news) == NEWS_MAX or seen.since != before.since:
                return
            self._pass_on(news)
            self._heard_until = asked
            await asyncio.sleep(POLL_S)

    def _pass_on(self, news: Sequence[News]) -> None:
        parts: dict[Callable[[Sequence[News]], None], list[News]] = defaultdict(list)
        for each in news:
            parts[self._subscribers[each.kind]].append(each)
        for on_news, part in parts.items():
            on_news(part)


async def print_events(database_url: str, *, follow: bool) -> None:
    """Write the feed to standard output, a JSON object a line; with `follow` until interrupted."""
    async with small_pool(database_url) as pool:
        async for cursor, kind, subject_id, payload, _ in read(pool, Cursor(), follow=follow):
            line = {"xid": cursor.xid, "id": cursor.id, "kind": kind, "subject_id": str(subject_id), **payload}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
