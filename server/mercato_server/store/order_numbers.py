"""The numbers of orders that workers of an earlier release have placed."""

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.order_numbers import new_numbers

BATCH = 200
"""Orders of a transaction. A transition of one of them waits for that long."""

HAS_UNNUMBERED = "SELECT EXISTS (SELECT FROM orders WHERE number IS NULL)"

LOCK_UNNUMBERED = """
SELECT id
  FROM orders
 WHERE number IS NULL
 ORDER BY id
 LIMIT $1
   FOR NO KEY UPDATE SKIP LOCKED
"""

# It changes no version, so an etag that a client has read stays valid.
SET_NUMBERS = """
UPDATE orders
   SET number = made.number, contact_email = coalesce(contact_email, account.email)
  FROM unnest($1::uuid[], $2::text[]) AS made (id, number), accounts AS account
 WHERE orders.id = made.id AND account.id = account_id
"""


@retry_conflicts
async def give_numbers(pool: "Pool") -> int:
    """Give a batch of orders without a number one, and the contact e-mail of their account; return how many.

    Raises UniqueViolationError, and gives none, if a random number is that of another order. The next call draws others.
    """
    if not await pool.fetchval(HAS_UNNUMBERED):
        return 0
    async with transaction(pool) as conn:
        ids = [row["id"] for row in await conn.fetch(LOCK_UNNUMBERED, BATCH)]
        await conn.execute(SET_NUMBERS, ids, new_numbers(len(ids)))
    return len(ids)
