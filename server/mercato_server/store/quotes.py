"""Quotes: kept prices of carts."""

from collections.abc import Collection
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.domain.pricing import Breakdown
from mercato_server.domain.quotes import KEPT_MAX, LIFE, Quote, QuoteNotFound, from_json, to_json
from mercato_server.store.sessions import session_ended

INSERT_QUOTE = """
WITH kept AS MATERIALIZED (
    SELECT id FROM quotes WHERE account_id = $1 ORDER BY id DESC LIMIT $5
), dropped AS (
    DELETE FROM quotes WHERE account_id = $1 AND id < ALL (ARRAY(SELECT id FROM kept))
)
INSERT INTO quotes (account_id, digest, price, currency_code, expires_at)
SELECT id, $2, $3, (SELECT currency_code FROM shop), now() + $4::interval
  FROM accounts
 WHERE id = $1 AND disabled_at IS NULL
   FOR KEY SHARE  -- it may have been erased since the call began
RETURNING id, account_id, digest, price, currency_code, expires_at
"""

GET_QUOTES = "SELECT id, account_id, digest, price, currency_code, expires_at FROM quotes WHERE id = ANY($1::uuid[])"


async def add(conn: "Conn", account_id: UUID, price: Breakdown, digest: bytes) -> Quote:
    """Keep a price as a quote; the account's oldest quote goes if it has too many. Raises TokenInvalid if the account was erased."""
    row = await conn.fetchrow(INSERT_QUOTE, account_id, digest, to_json(price), LIFE, KEPT_MAX - 1)
    if row is None:
        raise session_ended()
    return _quote(row)


async def read(conn: "Conn", wanted: Collection[tuple[UUID, UUID]]) -> dict[UUID, Quote | QuoteNotFound]:
    """Return quotes by accounts. `wanted` has their ids and the accounts that name them; the quote of another account is not found."""
    rows = {row["id"]: row for row in await conn.fetch(GET_QUOTES, [quote_id for quote_id, _ in wanted])}
    found: dict[UUID, Quote | QuoteNotFound] = {}
    for quote_id, account_id in wanted:
        row = rows.get(quote_id)
        found[account_id] = _quote(row) if row and row["account_id"] == account_id else QuoteNotFound(quote_id)
    return found


def _quote(row: asyncpg.Record | None) -> Quote:
    fields = dict(row or {})
    return Quote(**{**fields, "price": from_json(fields["price"])})
