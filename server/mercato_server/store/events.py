"""The change feed: every change of state appends to it, in the transaction of the change."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from mercato_server.db import Conn

APPEND_EVENTS = """
INSERT INTO events (kind, subject_id, payload)
SELECT kind, subject_id, payload
  FROM unnest($1::text[], $2::uuid[], $3::jsonb[]) AS event (kind, subject_id, payload)
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: its kind (`order.placed`), what it happened to, and what a reader cannot look up later."""

    kind: str
    subject_id: UUID
    payload: Mapping[str, str | int] = field(default_factory=dict)


async def append(conn: "Conn", events: Sequence[Event]) -> None:
    """Write events in the caller's transaction."""
    kinds = [event.kind for event in events]
    subjects = [event.subject_id for event in events]
    await conn.execute(APPEND_EVENTS, kinds, subjects, [json.dumps(dict(event.payload)) for event in events])
