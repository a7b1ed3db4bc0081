"""The sort keys of names in a worker: their table is in memory from the first name that is written on."""

import asyncio

from mercato_server.domain.name_keys import collator


async def load() -> None:
    """Load the table off the event loop. A call that makes a key does so before its transaction, which would hold locks for as long."""
    if not collator.cache_info().currsize:
        await asyncio.to_thread(collator)
