"""Notes of administrators about orders. A note is never changed or deleted."""

from collections.abc import Sequence
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import OrderNotFound
from mercato_server.domain.order_notes import NOTES_MAX, OrderNote, OrderNoteLimit
from mercato_server.domain.paging import Page, Position
from mercato_server.store import audit_log
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

IS_ORDER = "SELECT EXISTS (SELECT FROM orders WHERE id = $1)"

LOCK_ORDER = "SELECT id FROM orders WHERE id = $1 FOR NO KEY UPDATE"

COUNT_NOTES = "SELECT count(*) FROM order_notes WHERE order_id = $1"

INSERT_NOTE = """
INSERT INTO order_notes (order_id, text, actor_id)
VALUES ($1, $2, $3)
RETURNING id, order_id, text, actor_id, created_at
"""

LIST_NOTES = """
SELECT id, order_id, text, actor_id, created_at
  FROM order_notes
 WHERE order_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3
"""


@retry_conflicts
async def create(pool: "Pool", order_id: UUID, text: str, actor: Actor, key: IdempotencyKey | None = None) -> OrderNote | Stored:
    """Add a note to an order; raises OrderNotFound or OrderNoteLimit. The order keeps its etag, so a note disturbs no packer."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, order_id, text, actor))


async def _create(conn: "Conn", order_id: UUID, text: str, actor: Actor) -> OrderNote:
    if await conn.fetchval(LOCK_ORDER, order_id) is None:
        raise OrderNotFound(order_id)
    if await conn.fetchval(COUNT_NOTES, order_id) >= NOTES_MAX:
        raise OrderNoteLimit
    note = OrderNote._make(await conn.fetchrow(INSERT_NOTE, order_id, text, actor.id) or ())
    await audit_log.append(conn, actor, "order.note_added", order_id, {}, {"note_id": note.id})
    return note


async def notes(pool: "Pool", order_id: UUID, page: Page) -> tuple[Sequence[OrderNote], Position | None]:
    """Return a page of the notes of an order, newest first, and the position of its last row if more follow; raises OrderNotFound."""
    rows = await pool.fetch(LIST_NOTES, order_id, page.below, page.size + 1)
    if not rows and not await pool.fetchval(IS_ORDER, order_id):
        raise OrderNotFound(order_id)
    found = [OrderNote._make(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].id) if len(rows) > page.size else None
