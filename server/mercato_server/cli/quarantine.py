"""The commands of `mercato events` for the quarantine of the change feed."""

import json
import sys

from mercato_server.database.pool import small_pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.store import quarantine


class QuarantineError(Exception):
    """There is no such event; the message says so."""


async def print_quarantined(database_url: str) -> None:
    """Write the events in quarantine to standard output, a JSON object a line."""
    async with small_pool(database_url) as pool:
        for event in await quarantine.quarantined(pool):
            line = {
                "id": event.id,
                "consumer": event.consumer,
                "kind": event.kind,
                "subject_id": str(event.subject_id),
                "payload": event.payload,
                "create_time": event.created_at.isoformat(),
                "tries": event.tries,
                "failure": event.failure,
                "quarantine_time": event.quarantined_at.isoformat(),
                "retry_time": event.retry_at and event.retry_at.isoformat(),
            }
            sys.stdout.write(json.dumps(line) + "\n")


async def retry_event(database_url: str, id_: int) -> None:
    """Let the consumer of an event in quarantine try it again; raises QuarantineError if there is no such event."""
    async with small_pool(database_url) as pool:
        if not await quarantine.request_retry(pool, id_, COMMAND_LINE):
            raise QuarantineError(f"there is no event {id_} in quarantine; list them with: mercato events --quarantined")
