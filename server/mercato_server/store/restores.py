"""The mark of a restore: from then on no session, etag, event or request of the time that was lost means anything.

docs/restores.md has the reasons.
"""

import os
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.database import migrations, origin
from mercato_server.database.connections import TIMELINE
from mercato_server.database.pool import Conn, Pool, small_pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.events import EventKind
from mercato_server.domain.mails import TOKEN_LIFETIMES_S
from mercato_server.store import audit_log, events
from mercato_server.store.events import Event
from mercato_server.store.order_books import VERSION_STEP

SHOP = UUID(int=0)
"""The subject of events and entries that are about the whole shop."""
PAYABLE_S = 3600.0
"""Time that buyers have for unpaid orders, once payments go on."""
NUMBER_STEP = 2**32
"""Numbers that each sequence skips of which a client may have seen values."""

LOCK_ORIGIN = "SELECT restores FROM database_origin WHERE singleton FOR UPDATE"

SET_ORIGIN = f"""
UPDATE database_origin
   SET system_identifier = (SELECT system_identifier FROM pg_control_system()), timeline = {TIMELINE}
 WHERE singleton
"""  # noqa: S608 - constants

SET_RESTORED = """
UPDATE database_origin
   SET restores = restores + 1, restored_at = now(), restored_to = $1, payments_resumed_at = NULL,
       payments_paused_at = CASE WHEN $2 OR EXISTS (SELECT FROM payments WHERE provider <> 'manual') THEN now() END
 WHERE singleton
"""

# Events keep their order by id, which is the order in which they were written. Those that all consumers have handled come first, then those
# that all but one have, and so on: each cursor has the same events behind it as before.
RENUMBER_EVENTS = """
UPDATE events AS event
   SET xid = (1 + (SELECT count(*) FROM feed_cursors AS reader WHERE (reader.xid, reader.id) < (event.xid, event.id)))::text::xid8
"""

RENUMBER_CURSORS = """
UPDATE feed_cursors AS reader
   SET xid = (1 + (SELECT count(*)
                     FROM feed_cursors AS other
                    WHERE (other.xid, other.id) < (reader.xid, reader.id)))::text::xid8,
       id = 9223372036854775807
"""

IS_ELSEWHERE = """
SELECT system_identifier <> (SELECT system_identifier FROM pg_control_system()) FROM database_origin
"""

SKIP_NUMBERS = """
SELECT setval(name::regclass, nextval(name::regclass) + $1)
  FROM unnest(ARRAY['events_id_seq', 'feed_quarantine_id_seq', 'cart_versions']) AS name
"""

END_SESSIONS = """
WITH ended AS (
    UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE ended_at IS NULL AND expires_at > now() RETURNING id
)
INSERT INTO events (kind, subject_id)
SELECT $1, id FROM ended
"""

# Workers make new keys. A key that had leaked and was replaced in the time that was lost would be good again.
LOCK_KEYS = "LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"

DELETE_KEYS = "DELETE FROM signing_keys"

# Their tokens go with them: one that was used in the time that was lost would be good once more.
DELETE_TOKENS = "DELETE FROM mails WHERE template = ANY($1::text[])"

# A request may have been sent in the time that was lost, so a worker looks for its effect before it sends it.
DISTRUST_REQUESTS = """
UPDATE provider_requests
   SET sent_at = least(sent_at, now() - interval '25 hours'), leased_until = NULL, next_at = now()
 WHERE outcome IS NULL
"""

# Each statement writes the table once. Orders, of which there are many more, follow when they change (`Books.touch`).
RAISE_VERSIONS = (
    "UPDATE addresses SET version = version + $1",
    "UPDATE categories SET version = version + $1",
    "UPDATE product_groups SET version = version + $1",
    "UPDATE products SET version = version + $1",
    "UPDATE stock_levels SET version = version + $1",
    "UPDATE promotions SET version = version + $1",
    "UPDATE price_rules SET version = version + $1",
    "UPDATE shop_settings SET version = version + $1",
    "UPDATE tax_categories SET version = version + $1",
    "UPDATE tax_rates SET version = version + $1",
    "UPDATE shipping_zones SET version = version + $1",
    "UPDATE shipping_methods SET version = version + $1",
)


GET_PAUSE = """
SELECT payments_paused_at, coalesce(restored_to, payments_paused_at) AS restored_to
  FROM database_origin
 WHERE payments_paused_at IS NOT NULL
"""

RESUME = """
UPDATE database_origin
   SET payments_paused_at = NULL, payments_resumed_at = now()
 WHERE payments_paused_at = $1  -- another restore has not been marked since
RETURNING restores
"""

# Their buyers could not pay. No version rises, so an etag that a client has read stays valid.
PROLONG_ORDERS = """
UPDATE orders
   SET payment_due_at = now() + make_interval(secs => $1)
 WHERE id IN (SELECT id
                FROM orders
               WHERE status = 'placed' AND payment_due_at < now() + make_interval(secs => $1)
               ORDER BY id
                 FOR NO KEY UPDATE)
"""

RELEASE_REQUESTS = "UPDATE provider_requests SET next_at = now() WHERE outcome IS NULL"


class Pause(NamedTuple):
    """The pause of payments after a restore."""

    paused_at: datetime
    restored_to: datetime
    """The moment that was restored; that of the mark if it is not known."""


async def pause(pool: "Pool") -> Pause | None:
    """Return the pause of payments, or None."""
    row = await pool.fetchrow(GET_PAUSE)
    return Pause(*row) if row else None


@retry_conflicts
async def resume(pool: "Pool", ended: Pause) -> bool:
    """End a pause of payments, unless another one has begun since; return whether it did.

    Requests that waited are sent, after a look for their effect. Unpaid orders can be paid for an hour at least.
    """
    async with transaction(pool) as conn:
        restored = await conn.fetchval(RESUME, ended.paused_at)
        if restored is None:
            return False
        await conn.execute(PROLONG_ORDERS, PAYABLE_S)
        await conn.execute(RELEASE_REQUESTS)
        by = {"uid": os.getuid(), "host": os.uname().nodename}
        await audit_log.append(conn, COMMAND_LINE, "payments.resumed", SHOP, {}, {"restores": restored, **by})
        return True


async def restored(database_url: str, restored_to: datetime | None, *, takes_payments: bool, nothing_lost: bool = False) -> None:
    """Migrate a restored database, and mark it, before any worker serves it; a role that owns the tables is needed.

    Args:
        database_url: the restored database, also one that was loaded from a dump.
        restored_to: the moment of the last transaction that it has, with an offset; None if that is not known.
        takes_payments: whether the shop has a payment provider. Then payments stay off until `mercato reconcile` is clean. They do so also
            if the database has payments of a provider.
        nothing_lost: no transaction was lost, as after pg_upgrade; then sessions and payments go on.

    Raises SchemaError.
    """
    await migrations.migrate(database_url, restored=True)
    async with small_pool(database_url) as pool:
        await mark(pool, restored_to, takes_payments=takes_payments, nothing_lost=nothing_lost)


@retry_conflicts
async def mark(pool: "Pool", restored_to: datetime | None, *, takes_payments: bool, nothing_lost: bool = False) -> None:
    """Mark a restore in one transaction, as `restored` does for a migrated database; each call marks one more."""
    by = {"uid": os.getuid(), "host": os.uname().nodename}
    async with transaction(pool) as conn:
        before = await conn.fetchval(LOCK_ORIGIN)
        if await conn.fetchval(IS_ELSEWHERE) or await conn.fetchval(origin.IS_AHEAD):
            await conn.execute(RENUMBER_EVENTS)
            await conn.execute(RENUMBER_CURSORS)
        await conn.execute(SET_ORIGIN)
        if nothing_lost:
            await audit_log.append(conn, COMMAND_LINE, "shop.moved", SHOP, {}, by)
            return
        await conn.execute(SET_RESTORED, restored_to, takes_payments)
        await conn.fetch(SKIP_NUMBERS, NUMBER_STEP)
        await _invalidate(conn)
        told = restored_to.astimezone(UTC).isoformat() if restored_to else ""
        await events.append(conn, [Event(EventKind.SHOP_RESTORED, SHOP, {"restored_to": told})])
        await audit_log.append(conn, COMMAND_LINE, "shop.restored", SHOP, {"restores": before}, {"restores": before + 1, "to": told, **by})


async def _invalidate(conn: "Conn") -> None:
    """End what was given out: sessions, keys, tokens of mails, etags, and the certainty that a request was not sent."""
    await conn.execute(LOCK_KEYS)
    await conn.execute(DELETE_KEYS)
    await conn.execute(END_SESSIONS, EventKind.SESSION_ENDED)
    await events.append(conn, [Event(EventKind.KEYS_CHANGED, SHOP)])
    await conn.execute(DELETE_TOKENS, list(TOKEN_LIFETIMES_S))
    await conn.execute(DISTRUST_REQUESTS)
    for statement in RAISE_VERSIONS:
        await conn.execute(statement, VERSION_STEP)
