"""Checkout: carts become orders."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server import failpoints
from mercato_server.config.settings import OrderRules
from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import note, patience, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.carts import CartLine, price_cart
from mercato_server.domain.errors import IdempotencyKeyReused, MercatoError, OpenOrdersLimit, OutOfStock
from mercato_server.domain.events import EventKind
from mercato_server.domain.orders import Basket, Order, OrderLine, OrderStatus, OrderTransition, Terms, allocate
from mercato_server.store import idempotency, inventory, sessions
from mercato_server.store.idempotency import IdempotencyKey, Stored

# The lock of an account lets its checkouts pass one at a time, whatever lines they read: the limit of its unpaid orders needs that.
LOCK_CARTS = f"""
WITH buyer AS MATERIALIZED (
    SELECT id AS account_id, email_verified_at IS NOT NULL AS verified
      FROM accounts
     WHERE id = ANY($1::uuid[])
     ORDER BY id
       FOR NO KEY UPDATE
), wanted AS MATERIALIZED (
    SELECT account_id, product_id, quantity, unit_price_minor
      FROM cart_items
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY account_id, product_id
       FOR UPDATE
), {inventory.LOCKED}
SELECT account_id, product_id, quantity, unit_price_minor, coalesce(on_hand, 0) AS stock, verified
  FROM wanted
  JOIN buyer USING (account_id)
  LEFT JOIN locked USING (product_id)
 ORDER BY account_id, product_id
"""  # noqa: S608 - constants

# This must be a separate statement: one that waits for a lock returns the new version of the locked rows, but old versions of joined rows.
# Transactions that change a product hold its stock level, so this statement reads the last version before the order.
GET_PRODUCTS = """
SELECT id, name, price_minor, deleted_at IS NULL AS on_sale
  FROM products
 WHERE id = ANY($1::uuid[])
"""

# Part of a statement: whether an account may have one more unpaid order, of at most $2 (0: no limit). The account must be locked by an
# earlier statement.
_HAS_ROOM = """($2::integer = 0
            OR (SELECT count(*)
                  FROM (SELECT
                          FROM orders AS open
                         WHERE open.account_id = buyer.account_id AND open.status = 'placed'
                         LIMIT $2) AS counted) < $2) AS has_room"""

# One statement places orders: it writes the orders, their lines and first status, the ledger, the stock and the events. It skips an order
# whose key belongs to an earlier one, and returns accounts without room for one more order without an id. It removes from the carts exactly
# the lines that were read; a line that was added since stays.
PLACE_ORDERS = f"""
WITH wanted AS (
    SELECT account_id, total_minor, idempotency_key, {_HAS_ROOM}
      FROM unnest($1::uuid[], $3::bigint[], $4::text[]) AS buyer (account_id, total_minor, idempotency_key)
), placed AS (
    INSERT INTO orders (account_id, status, currency_code, total_minor, idempotency_key, payment_due_at)
    SELECT account_id, 'placed', $5, total_minor, idempotency_key, now() + nullif($6::integer, 0) * interval '1 second'
      FROM wanted
     WHERE has_room
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account_id, created_at, payment_due_at
), line AS (
    SELECT placed.id AS order_id, account_id, product_id, product_name, unit_price_minor, quantity
      FROM unnest($7::uuid[], $8::uuid[], $9::text[], $10::bigint[], $11::integer[])
           AS line (account_id, product_id, product_name, unit_price_minor, quantity)
      JOIN placed USING (account_id)
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
    SELECT order_id, product_id, product_name, unit_price_minor, $5, quantity FROM line
), history AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT id, 1, 'placed', 'buyer', account_id, '' FROM placed
), cart AS (
    DELETE FROM cart_items AS item
     USING line
     WHERE item.account_id = line.account_id AND item.product_id = line.product_id
), {inventory.SOLD}, happened AS (
    INSERT INTO events (kind, subject_id, payload)
    SELECT 'order.placed', id, jsonb_build_object('account_id', account_id) FROM placed
     UNION ALL
    SELECT 'stock.changed', product_id, '{{}}' FROM sold
)
SELECT id, account_id, created_at, payment_due_at FROM placed
 UNION ALL
SELECT NULL, account_id, NULL, NULL FROM wanted WHERE NOT has_room
"""  # noqa: S608 - constants

DRAFT_ORDERS = f"""
SELECT account_id, {_HAS_ROOM}, now() AS created_at, now() + nullif($3::integer, 0) * interval '1 second' AS payment_due_at
  FROM unnest($1::uuid[]) AS buyer (account_id)
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, eq=False)  # identity as dict key costs nothing
class Checkout:
    """A buyer's command to order the cart. A checkout with `validate_only` has no key."""

    account_id: UUID
    session_id: UUID
    """The session that must be live."""
    key: IdempotencyKey | None = None
    terms: Terms = field(default_factory=Terms)
    validate_only: bool = False


CheckoutResult = Order | Stored | MercatoError
Outcomes = dict[Checkout, CheckoutResult]


class Placed(NamedTuple):
    """The row of a placed order, without an id that of a draft."""

    id: UUID | None
    at: datetime
    payment_due_at: datetime | None


class Locked(NamedTuple):
    """The locked carts of a batch, and what is known with them."""

    carts: dict[UUID, list[CartLine]]
    """By account."""
    verified: set[UUID]
    """Accounts with a verified e-mail address, of those whose cart has a line."""
    stock: dict[UUID, int]
    """Units of the products that are on sale."""


@retry_conflicts
async def checkout(
    pool: "Pool",
    batch: Sequence[Checkout],
    *,
    currency: str,
    rules: OrderRules = OrderRules(),  # noqa: B008 - it is frozen
) -> list[CheckoutResult]:
    """Turn each buyer's cart into an order, all in one transaction; return for each checkout its order, stored response or refusal.

    A refusal, for example of an ended session, leaves its cart unchanged and does not affect the other checkouts. A key that was used
    before returns its stored response. Accounts must differ within a batch.

    Args:
        pool: the pool that provides the connection.
        batch: the checkouts in the order of arrival; earlier ones get scarce stock.
        currency: code of the shop's currency.
        rules: what a buyer may order.
    """
    async with transaction(pool, patience=patience(batch)) as conn:
        refused = await sessions.ended(conn, batch)
        admitted = [request for request in batch if request not in refused]
        used = await idempotency.claim(conn, [request.key for request in admitted if request.key])
        buyers = [request for request in admitted if request.key not in used]
        locked = await _lock_carts(conn, [request.account_id for request in buyers])
        failpoints.hit("checkout: locked")
        results = refused | await _serve(conn, buyers, locked, currency, rules)
        stored = used | await idempotency.settle(conn, [(buyer.key, results[buyer]) for buyer in buyers])
    return [stored[request.key] if request.key in stored else results[request] for request in batch]


async def _lock_carts(conn: "Conn", account_ids: Sequence[UUID]) -> Locked:
    """Lock the accounts, their carts, then the stock of the products."""
    lines = await conn.fetch(LOCK_CARTS, account_ids)
    stock = {line["product_id"]: line["stock"] for line in lines}
    products = {row["id"]: row for row in await conn.fetch(GET_PRODUCTS, list(stock))}
    carts: dict[UUID, list[CartLine]] = {account_id: [] for account_id in account_ids}
    verified = set()
    for account_id, product_id, quantity, added_price, on_hand, is_verified in lines:
        _, name, price, on_sale = products[product_id]
        carts[account_id].append(CartLine(product_id, name, quantity, price, added_price, on_hand, on_sale))
        if is_verified:
            verified.add(account_id)
    return Locked(carts, verified, {product_id: on_hand for product_id, on_hand in stock.items() if products[product_id]["on_sale"]})


async def _serve(conn: "Conn", buyers: Sequence[Checkout], locked: Locked, currency: str, rules: OrderRules) -> Outcomes:
    """Place the orders for which the stock is sufficient, in the order of arrival; return each buyer's order or refusal.

    Only placing reveals a key that belongs to an earlier order, or an account with too many unpaid orders. By then that buyer has reserved
    stock. The buyers that were refused for a shortage then get another round with the remaining stock. Each round but the last refuses at
    least one buyer so late, so there are at most as many rounds as buyers.
    """
    results: Outcomes = {}
    waiting, left = buyers, locked.stock
    while waiting:
        baskets = [
            Basket(locked.carts[buyer.account_id], buyer.terms, buyer.validate_only, buyer.account_id in locked.verified)
            for buyer in waiting
        ]
        outcomes = allocate(baskets, left, units_max=rules.units_per_product, verified_only=rules.verified_only)
        refused = {buyer: refusal for buyer, refusal in zip(waiting, outcomes, strict=True) if refusal}
        accepted = [buyer for buyer in waiting if buyer not in refused]
        placed = await _place(conn, [buyer for buyer in accepted if not buyer.validate_only], locked.carts, currency, rules)
        drafts = await _draft(conn, [buyer for buyer in accepted if buyer.validate_only], locked.carts, currency, rules)
        results |= refused | placed | drafts
        orders = [order for order in placed.values() if isinstance(order, Order)]
        if len(orders) == len(placed):
            break
        waiting = [buyer for buyer, refusal in refused.items() if isinstance(refusal, OutOfStock)]
        left = Counter(left)
        for order in orders:
            left.subtract({line.product_id: line.quantity for line in order.lines})
    return results


async def _place(
    conn: "Conn", placed: Sequence[Checkout], carts: Mapping[UUID, Sequence[CartLine]], currency: str, rules: OrderRules
) -> Outcomes:
    """Write the orders of allocated carts; return each buyer's order, or the refusal that only writing reveals."""
    if not placed:
        return {}
    totals = {buyer.account_id: price_cart(carts[buyer.account_id]).total_minor for buyer in placed}
    keys = [buyer.key.key if buyer.key else None for buyer in placed]
    sold = [(buyer.account_id, line) for buyer in placed for line in carts[buyer.account_id]]
    rows = await conn.fetch(
        PLACE_ORDERS,
        list(totals),
        rules.open_orders,
        list(totals.values()),
        keys,
        currency,
        rules.payment_due_s,
        [account_id for account_id, _ in sold],
        [line.product_id for _, line in sold],
        [line.name for _, line in sold],
        [line.unit_price_minor for _, line in sold],
        [line.quantity for _, line in sold],
    )
    failpoints.hit("checkout: placed")
    orders = {
        account_id: _order(Placed(order_id, now, due), account_id, carts[account_id], totals[account_id], currency)
        for order_id, account_id, now, due in rows
        if order_id
    }
    full = {account_id for order_id, account_id, _, _ in rows if not order_id}
    note(conn, EventKind.ORDER_PLACED, [order.id for order in orders.values() if order.id])
    note(conn, EventKind.STOCK_CHANGED, {line.product_id for order in orders.values() for line in order.lines})

    def outcome(account_id: UUID) -> CheckoutResult:
        return orders.get(account_id) or (OpenOrdersLimit(rules.open_orders) if account_id in full else IdempotencyKeyReused())

    return {buyer: outcome(buyer.account_id) for buyer in placed}


async def _draft(
    conn: "Conn", drafts: Sequence[Checkout], carts: Mapping[UUID, Sequence[CartLine]], currency: str, rules: OrderRules
) -> Outcomes:
    """Return the orders that a checkout would place, or their refusals, without writing them."""
    if not drafts:
        return {}
    rows = await conn.fetch(DRAFT_ORDERS, [buyer.account_id for buyer in drafts], rules.open_orders, rules.payment_due_s)
    found = {account_id: fields for account_id, *fields in rows}

    def outcome(account_id: UUID) -> CheckoutResult:
        has_room, now, due = found[account_id]
        cart = carts[account_id]
        if not has_room:
            return OpenOrdersLimit(rules.open_orders)
        return _order(Placed(None, now, due), account_id, cart, price_cart(cart).total_minor, currency)

    return {buyer: outcome(buyer.account_id) for buyer in drafts}


def _order(placed: Placed, account_id: UUID, cart: Iterable[CartLine], total_minor: int, currency: str) -> Order:
    lines = tuple(OrderLine(line.product_id, line.name, line.unit_price_minor, line.quantity) for line in cart)
    return Order(
        id=placed.id,
        account_id=account_id,
        status=OrderStatus.PLACED,
        currency_code=currency,
        total_minor=total_minor,
        created_at=placed.at,
        updated_at=placed.at,
        lines=lines,
        history=(OrderTransition(status=OrderStatus.PLACED, actor=Actor(ActorKind.BUYER, account_id), reason="", created_at=placed.at),),
        version=1,
        payment_due_at=placed.payment_due_at,
    )
