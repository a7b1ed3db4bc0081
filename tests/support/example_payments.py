"""Orders with payments in several states, and a quarantined notice, for requests about them. No provider is needed for these."""

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mercato_server.domain.order_numbers import new_numbers

_numbers = itertools.count(1)

INSERT_ORDER = """
WITH placed AS (
    INSERT INTO orders (account_id, status, currency_code, total_minor, booked_version, payment_status, fulfillment_status, number,
                        contact_email)
    VALUES ($1, $3, 'USD', 1000, 1, $4, 'unfulfilled', $9, 'jo@example.com')
    RETURNING id
), line AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
    SELECT id, $2, 'Ball', 1000, 'USD', 1 FROM placed
), step AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT id, 1, $3, 'buyer', $1, '' FROM placed
), paid AS (
    INSERT INTO payments (order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor, authorized_minor,
                          captured_minor)
    SELECT id, $5, $6, $7, $8, false, 'USD', 1000, CASE WHEN $8 = 'authorized' THEN 1000 ELSE 0 END,
           CASE WHEN $8 = 'captured' THEN 1000 ELSE 0 END
      FROM placed
    RETURNING id, order_id
), movement AS (
    INSERT INTO payment_ledger (payment_id, kind, provider_ref, amount_minor, currency_code)
    SELECT id, $8, $7, 1000, 'USD' FROM paid WHERE $8 <> 'pending'
)
SELECT order_id::text, id::text FROM paid
"""

INSERT_EVENT = """
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at, quarantined_at, failure)
VALUES ('stripe', $1, 'payment_intent.succeeded', $2, now(), now(), 'its amount is not the one that the shop has asked for')
RETURNING id::text
"""


@dataclass(frozen=True)
class PaidOrder:
    """An order of one unit for 10.00, and its payment."""

    order_id: str
    payment_id: str


async def an_order(pool: Any, account_id: str, product_id: str, state: str) -> PaidOrder:
    """Make an order whose payment is `pending` at a provider, or `authorized` or `captured` by hand; `pool` may be a connection."""
    ref = f"pi_example{next(_numbers)}{account_id[-12:]}"
    status, money = ("placed", "unpaid") if state == "pending" else ("paid", "authorized" if state == "authorized" else "paid")
    method = {"pending": "online", "authorized": "cash_on_delivery", "captured": "cash"}[state]
    provider = "stripe" if state == "pending" else "manual"
    [number] = new_numbers(1)
    [row] = await pool.fetch(INSERT_ORDER, UUID(account_id), UUID(product_id), status, money, provider, method, ref, state, number)
    return PaidOrder(*row)


async def an_event(pool: Any) -> str:
    """Make a quarantined notice; return its id."""
    number = next(_numbers)
    found: str = await pool.fetchval(INSERT_EVENT, f"evt_example{number}", f"pi_quarantined{number}")
    return found
