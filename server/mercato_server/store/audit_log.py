"""The audit log: the actions of administrators, each written in the transaction of its effect. The server never deletes an entry."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.accounts import Actor
from mercato_server.domain.audit_log import AuditEntry, AuditFilter
from mercato_server.domain.paging import Page, Position

APPEND_ENTRY = """
INSERT INTO audit_log (actor_kind, actor_id, action, subject_id, before, after, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def append(
    conn: "Conn", actor: Actor, action: str, subject_id: UUID | None, before: Mapping[str, object], after: Mapping[str, object]
) -> None:
    """Append an action in the caller's transaction, with the fields that differ between `before` and `after`."""
    await conn.execute(APPEND_ENTRY, actor.kind, actor.id, action, subject_id, *_differences(before, after), actor.request_id)


APPEND_ENTRIES = """
INSERT INTO audit_log (actor_kind, actor_id, action, subject_id, before, after, request_id)
SELECT $1, $2, action, subject_id, before, after, $7
  FROM unnest($3::text[], $4::uuid[], $5::jsonb[], $6::jsonb[]) AS entry (action, subject_id, before, after)
"""


Action = tuple[str, UUID, Mapping[str, object], Mapping[str, object]]
"""An action with its subject, and the fields before and after it."""


async def append_all(conn: "Conn", actor: Actor, entries: Sequence[Action]) -> None:
    """Append actions as `append` does, by one statement for any number."""
    pairs = [_differences(before, after) for _, _, before, after in entries]
    await conn.execute(
        APPEND_ENTRIES,
        actor.kind,
        actor.id,
        [action for action, *_ in entries],
        [subject_id for _, subject_id, *_ in entries],
        [before for before, _ in pairs],
        [after for _, after in pairs],
        actor.request_id,
    )


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, str]:
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    old, new = (json.dumps({name: fields[name] for name in changed if name in fields}, default=str) for fields in (before, after))
    return old, new


@cache
def list_sql(*, actor: bool, subject: bool, action: bool) -> str:
    """Return the statement of a list with these conditions; its parameters are the position, LIMIT, then the conditions' values."""
    names = [name for name, wanted in (("actor_id", actor), ("subject_id", subject), ("action", action)) if wanted]
    conditions = "".join(f" AND {name} = ${number}" for number, name in enumerate(names, start=3))
    return f"""
    SELECT id, actor_id, action, subject_id, before, after, request_id, created_at
      FROM audit_log
     WHERE id < $1{conditions}
     ORDER BY id DESC
     LIMIT $2
    """  # noqa: S608 - constants


async def entries(pool: "Pool", wanted: AuditFilter, page: Page) -> tuple[Sequence[AuditEntry], Position | None]:
    """Return a page of entries, newest first, and the position of its last row if more follow."""
    values = (wanted.actor_id, wanted.subject_id, wanted.action)
    actor, subject, action = (value is not None for value in values)
    statement = list_sql(actor=actor, subject=subject, action=action)
    rows = await pool.fetch(statement, page.below, page.size + 1, *(value for value in values if value is not None))
    found = [_entry(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].id) if len(rows) > page.size else None


def _entry(row: asyncpg.Record) -> AuditEntry:
    return AuditEntry(**{**row, "before": json.loads(row["before"]), "after": json.loads(row["after"])})
