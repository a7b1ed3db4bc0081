"""Orders of guests that join the account whose verified address they name."""

from uuid import UUID

from mercato_server.database.pool import Conn

JOINED_MAX = 1_000
"""Orders that join an account at once; the next login with a guest takes more."""

# The orders keep their version: nothing that their history records has changed. The guest's stored answers and the keys of these orders go,
# since the orders are no longer the guest's, and the account may have used the same key. The sweep looks at the guests again.
JOIN_ORDERS = """
WITH joining AS MATERIALIZED (
    SELECT placed.id, placed.account_id, placed.idempotency_key, placed.created_at
      FROM orders AS placed
      JOIN accounts AS guest ON guest.id = placed.account_id
     WHERE placed.contact_email = (SELECT email FROM accounts WHERE id = $1 AND email_verified_at IS NOT NULL)
       AND placed.account_id <> $1 AND guest.role = 'guest'
     ORDER BY placed.id
     LIMIT $2
       FOR NO KEY UPDATE OF placed
), forgotten AS (
    DELETE FROM idempotency_keys AS stored
     USING joining
     WHERE stored.scope_id = joining.account_id AND stored.key = joining.idempotency_key AND stored.created_at = joining.created_at
), due AS (
    UPDATE accounts
       SET guest_check_at = now()
     WHERE guest_check_at IS NULL
       AND id = ANY(ARRAY(SELECT id
                            FROM accounts
                           WHERE id = ANY(ARRAY(SELECT account_id FROM joining))
                           ORDER BY id
                             FOR NO KEY UPDATE SKIP LOCKED))  -- accounts are locked before orders, so this must not wait
)
UPDATE orders AS placed
   SET account_id = $1, idempotency_key = NULL
  FROM joining
 WHERE placed.id = joining.id
"""


async def join(conn: "Conn", account_id: UUID) -> None:
    """Move the orders of guests whose contact address is the verified address of an account to this account, the oldest JOINED_MAX of them.

    Without effect while the account's address is not verified. The caller's transaction has locked the account.
    """
    await conn.execute(JOIN_ORDERS, account_id, JOINED_MAX)
