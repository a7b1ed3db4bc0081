"""The data that the shop holds of a person, as JSON objects: an account with its belongings, and its orders page by page.

The objects have whole rows, so that a new column is in them without a change here. The columns that are left out are named: secrets, and
references that say nothing about the person.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.paging import Page, Position
from mercato_server.store import audit_log, belongings

NEWEST = 500
"""Sessions and mails of an account that an export has, the newest of each."""
ORDERS_AT_ONCE = 50
"""Orders that a stream of them has in memory."""

GET_ACCOUNT = f"""
SELECT jsonb_build_object(
           'account', to_jsonb(account) - '{{password_hash,guest_check_at,network}}'::text[],
           'taxes', (SELECT to_jsonb(taxes) FROM account_taxes AS taxes WHERE account_id = $1),
           'addresses', (SELECT jsonb_agg(to_jsonb(entry) ORDER BY entry.id) FROM addresses AS entry WHERE account_id = $1),
           'cart', (SELECT to_jsonb(cart) FROM carts AS cart WHERE account_id = $1),
           'cart_lines', (SELECT jsonb_agg(to_jsonb(line)) FROM cart_items AS line WHERE account_id = $1),
           'quotes', (SELECT jsonb_agg(to_jsonb(quote) - 'digest') FROM quotes AS quote WHERE account_id = $1),
           'sessions', (SELECT jsonb_agg(to_jsonb(session))
                          FROM (SELECT user_agent, ip_address, created_at, refreshed_at, expires_at, ended_at, end_reason
                                  FROM sessions
                                 WHERE account_id = $1
                                 ORDER BY created_at DESC
                                 LIMIT $2) AS session),
           'mails', (SELECT jsonb_agg(to_jsonb(mail))
                       FROM (SELECT template, address, created_at, sent_at, dropped_at, failure
                               FROM mails
                              WHERE id IN ({belongings.mails("$1")})
                              ORDER BY created_at DESC
                              LIMIT $2) AS mail),
           'mail_requests', (SELECT jsonb_agg(to_jsonb(request)) FROM mail_allowances AS request WHERE address = account.email),
           'stored_responses', (SELECT jsonb_agg(to_jsonb(stored))
                                  FROM (SELECT method, key, created_at
                                          FROM idempotency_keys
                                         WHERE scope_id = $1
                                         ORDER BY created_at DESC
                                         LIMIT $2) AS stored)) AS document
  FROM accounts AS account
 WHERE id = $1
"""  # noqa: S608 - constants

_ORDER = """
SELECT placed.id, to_jsonb(placed) || jsonb_build_object(
           'lines', (SELECT jsonb_agg(to_jsonb(line) - 'order_id') FROM order_items AS line WHERE order_id = placed.id),
           'discounts', (SELECT jsonb_agg(to_jsonb(discount) - 'order_id') FROM order_discounts AS discount WHERE order_id = placed.id),
           'taxes', (SELECT jsonb_agg(to_jsonb(tax) - 'order_id') FROM order_taxes AS tax WHERE order_id = placed.id),
           'history', (SELECT jsonb_agg(to_jsonb(step) - '{order_id,actor_id}'::text[] ORDER BY version)
                         FROM order_history AS step
                        WHERE order_id = placed.id),
           'promotion_uses', (SELECT jsonb_agg(to_jsonb(used) - 'order_id') FROM promotion_redemptions AS used WHERE order_id = placed.id),
           'payments', (SELECT jsonb_agg(to_jsonb(payment) - 'order_id') FROM payments AS payment WHERE order_id = placed.id),
           'disputes', (SELECT jsonb_agg(to_jsonb(dispute) - 'order_id') FROM disputes AS dispute WHERE order_id = placed.id),
           'refunds', (SELECT jsonb_agg(to_jsonb(refund) - '{order_id,actor_id}'::text[])
                         FROM refunds AS refund
                        WHERE order_id = placed.id),
           'returns', (SELECT jsonb_agg(to_jsonb(back) - '{order_id,actor_id}'::text[]) FROM returns AS back WHERE order_id = placed.id),
           'shipments', (SELECT jsonb_agg(to_jsonb(parcel) - '{order_id,actor_id}'::text[])
                           FROM shipments AS parcel
                          WHERE order_id = placed.id),
           'mails', (SELECT jsonb_agg(to_jsonb(mail) - '{id,order_id,leased_until}'::text[]) FROM mails AS mail WHERE order_id = placed.id))
       || CASE WHEN $4::boolean THEN jsonb_build_object('notes', (SELECT jsonb_agg(to_jsonb(remark) - '{order_id,actor_id}'::text[])
                                                                    FROM order_notes AS remark
                                                                   WHERE order_id = placed.id))
               ELSE '{}' END AS document
  FROM orders AS placed
"""

GET_ORDERS = f"""{_ORDER}
 WHERE placed.account_id = $1 AND placed.id < $2
 ORDER BY placed.id DESC
 LIMIT $3
"""

# The orders of guests for a contact address.
GET_ORDERS_OF_CONTACT = f"""{_ORDER}
  JOIN accounts AS guest ON guest.id = placed.account_id AND guest.role = 'guest'
 WHERE placed.contact_email = $1 AND placed.id < $2
 ORDER BY placed.id DESC
 LIMIT $3
"""

Document = dict[str, Any]


async def account(pool: "Pool", account_id: UUID) -> Document | None:
    """Return what the shop holds of an account besides its orders, or None if there is no such account. Amounts are texts."""
    found = await pool.fetchval(GET_ACCOUNT, account_id, NEWEST)
    return _with_exact_amounts(json.loads(found)) if found else None


async def orders(pool: "Pool", account_id: UUID, page: Page) -> tuple[Sequence[Document], Position | None]:
    """Return a page of the orders of an account, newest first, without notes of administrators; and the last position if more follow."""
    return await _page(pool, GET_ORDERS, account_id, page, notes=False)


async def all_orders(pool: "Pool", buyer: UUID | str) -> AsyncIterator[Document]:
    """Yield the orders of an account, or those of guests for a contact address, with notes; it holds ORDERS_AT_ONCE of them."""
    statement = GET_ORDERS if isinstance(buyer, UUID) else GET_ORDERS_OF_CONTACT
    last: Position | None = None
    while True:
        found, last = await _page(pool, statement, buyer, Page(ORDERS_AT_ONCE, last), notes=True)
        for order in found:
            yield order
        if last is None:
            return


async def _page(pool: "Pool", statement: str, buyer: UUID | str, page: Page, *, notes: bool) -> tuple[Sequence[Document], Position | None]:
    rows = await pool.fetch(statement, buyer, page.below, page.size + 1, notes)
    found = rows[: page.size]
    documents = [_with_exact_amounts(json.loads(row["document"])) for row in found]
    return documents, Position(None, found[-1]["id"]) if len(rows) > page.size else None


@retry_conflicts
async def record(pool: "Pool", actor: Actor, account_id: UUID | None) -> None:
    """Record in the audit log that an operator has exported what the shop holds of a person."""
    async with transaction(pool) as conn:
        await audit_log.append(conn, actor, "user.exported", account_id, {}, {})


def _with_exact_amounts(value: Any) -> Any:
    """Return a JSON value whose amounts are texts, as 64-bit numbers are in the JSON of the API."""
    if isinstance(value, dict):
        return {
            name: str(part) if name.endswith("_minor") and isinstance(part, int) else _with_exact_amounts(part)
            for name, part in value.items()
        }
    return [_with_exact_amounts(part) for part in value] if isinstance(value, list) else value
