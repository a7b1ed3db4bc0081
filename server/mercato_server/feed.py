"""The reader of the change feed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from mercato_server import db
from mercato_server.db import Pool
from mercato_server.store import events
from mercato_server.store.events import Cursor, Event

POLL_S = 0.1
BATCH = 1_000


async def read(pool: "Pool", after: Cursor, *, follow: bool) -> AsyncIterator[tuple[Cursor, Event]]:
    """Give the events after a cursor, each once and in order; with `follow` go on for ever with what is to come."""
    while True:
        batch = await events.read(pool, after, BATCH)
        for after, event in batch:  # noqa: PLR1704 - the cursor moves with the events
            yield after, event
        if len(batch) < BATCH:
            if not follow:
                return
            await asyncio.sleep(POLL_S)


async def print_events(database_url: str, *, follow: bool) -> None:
    """Write the feed to standard output, a JSON object a line; with `follow` until interrupted."""
    async with db.small_pool(database_url) as pool:
        async for cursor, event in read(pool, Cursor(), follow=follow):
            line = {"xid": cursor.xid, "id": cursor.id, "kind": event.kind, "subject_id": str(event.subject_id), **event.payload}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
