"""Orders: checkout, and the transitions of an order's state."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from mercato_server import failpoints
from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import note, patience, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.carts import CartLine, price_cart
from mercato_server.domain.errors import IdempotencyKeyReused, MercatoError, OrderNotFound, OutOfStock
from mercato_server.domain.events import EventKind
from mercato_server.domain.orders import Basket, Order, OrderLine, OrderStatus, OrderTransition, Terms, allocate, check_transition
from mercato_server.store import audit_log, events, idempotency, inventory, order_lists, sessions
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

LOCK_CARTS = f"""
WITH wanted AS MATERIALIZED (
    SELECT account_id, product_id, quantity, unit_price_minor
      FROM cart_items
     WHERE account_id = ANY($1::uuid[])
     ORDER BY account_id, product_id
       FOR UPDATE
), {inventory.LOCKED}
SELECT account_id, product_id, quantity, unit_price_minor, coalesce(on_hand, 0) AS stock
  FROM wanted
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

# One statement places orders: it writes the orders, their lines and first status, the ledger, the stock and the events. It skips an order
# whose key belongs to an earlier one. It removes from the carts exactly the lines that were read; a line that was added since stays.
PLACE_ORDERS = f"""
WITH placed AS (
    INSERT INTO orders (account_id, status, currency_code, total_minor, idempotency_key)
    SELECT account_id, 'placed', $4, total_minor, idempotency_key
      FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS wanted (account_id, total_minor, idempotency_key)
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account_id, created_at
), line AS (
    SELECT placed.id AS order_id, account_id, product_id, product_name, unit_price_minor, quantity
      FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::integer[])
           AS line (account_id, product_id, product_name, unit_price_minor, quantity)
      JOIN placed USING (account_id)
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
    SELECT order_id, product_id, product_name, unit_price_minor, $4, quantity FROM line
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
SELECT id, account_id, created_at FROM placed
"""  # noqa: S608 - constants

INSERT_HISTORY = """
INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
VALUES ($1, $2, $3, $4, $5, $6)
"""

GET_OWNER = "SELECT account_id FROM orders WHERE id = $1"

LOCK_ORDER = """
SELECT account_id, status, version
  FROM orders
 WHERE id = $1
   FOR NO KEY UPDATE  -- FOR UPDATE would block the consumer that writes its mails
"""

SET_STATUS = """
UPDATE orders
   SET status = $2, version = version + 1, updated_at = now()
 WHERE id = $1
"""


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


@retry_conflicts
async def checkout(pool: "Pool", batch: Sequence[Checkout], *, currency: str) -> list[CheckoutResult]:
    """Turn each buyer's cart into an order, all in one transaction; return for each checkout its order, stored response or refusal.

    A refusal, for example of an ended session, leaves its cart unchanged and does not affect the other checkouts. A key that was used
    before returns its stored response. Accounts must differ within a batch.

    Args:
        pool: the pool that provides the connection.
        batch: the checkouts in the order of arrival; earlier ones get scarce stock.
        currency: code of the shop's currency.
    """
    async with transaction(pool, patience=patience(batch)) as conn:
        refused = await sessions.ended(conn, batch)
        admitted = [request for request in batch if request not in refused]
        used = await idempotency.claim(conn, [request.key for request in admitted if request.key])
        buyers = [request for request in admitted if request.key not in used]
        carts, stock = await _lock_carts(conn, [request.account_id for request in buyers])
        failpoints.hit("checkout: locked")
        results = refused | await _serve(conn, buyers, carts, stock, currency)
        stored = used | await idempotency.settle(conn, [(buyer.key, results[buyer]) for buyer in buyers])
    return [stored[request.key] if request.key in stored else results[request] for request in batch]


async def _lock_carts(conn: "Conn", account_ids: Sequence[UUID]) -> tuple[dict[UUID, list[CartLine]], dict[UUID, int]]:
    """Lock the carts, then the stock of their products; return the lines by account and the stock of products on sale."""
    lines = await conn.fetch(LOCK_CARTS, account_ids)
    stock = {line["product_id"]: line["stock"] for line in lines}
    products = {row["id"]: row for row in await conn.fetch(GET_PRODUCTS, list(stock))}
    carts: dict[UUID, list[CartLine]] = {account_id: [] for account_id in account_ids}
    for account_id, product_id, quantity, added_price, on_hand in lines:
        _, name, price, on_sale = products[product_id]
        carts[account_id].append(CartLine(product_id, name, quantity, price, added_price, on_hand, on_sale))
    return carts, {product_id: on_hand for product_id, on_hand in stock.items() if products[product_id]["on_sale"]}


async def _serve(
    conn: "Conn", buyers: Sequence[Checkout], carts: Mapping[UUID, Sequence[CartLine]], stock: Mapping[UUID, int], currency: str
) -> dict[Checkout, CheckoutResult]:
    """Place the orders for which the stock is sufficient, in the order of arrival; return each buyer's order or refusal.

    Only placing reveals a key that belongs to an earlier order, and by then that buyer has reserved stock. The buyers that were refused
    for a shortage then get another round with the remaining stock. Each round but the last finds at least one used key, so there are at
    most as many rounds as buyers.
    """
    results: dict[Checkout, CheckoutResult] = {}
    waiting, left = buyers, stock
    while waiting:
        outcomes = allocate([Basket(carts[buyer.account_id], buyer.terms, buyer.validate_only) for buyer in waiting], left)
        refused = {buyer: refusal for buyer, refusal in zip(waiting, outcomes, strict=True) if refusal}
        accepted = [buyer for buyer in waiting if buyer not in refused]
        orders = await _place(conn, [buyer for buyer in accepted if not buyer.validate_only], carts, currency)
        drafts = await _draft(conn, [buyer for buyer in accepted if buyer.validate_only], carts, currency)
        reused: dict[Checkout, CheckoutResult] = {
            buyer: IdempotencyKeyReused() for buyer in accepted if buyer not in orders and buyer not in drafts
        }
        results |= refused | orders | drafts | reused
        if not reused:
            break
        waiting = [buyer for buyer, refusal in refused.items() if isinstance(refusal, OutOfStock)]
        left = Counter(left)
        for order in orders.values():
            left.subtract({line.product_id: line.quantity for line in order.lines})
    return results


async def _place(
    conn: "Conn", placed: Sequence[Checkout], carts: Mapping[UUID, Sequence[CartLine]], currency: str
) -> dict[Checkout, Order]:
    """Write the orders of allocated carts; a buyer whose key belongs to an earlier order gets no order."""
    if not placed:
        return {}
    totals = {buyer.account_id: price_cart(carts[buyer.account_id]).total_minor for buyer in placed}
    keys = [buyer.key.key if buyer.key else None for buyer in placed]
    sold = [(buyer.account_id, line) for buyer in placed for line in carts[buyer.account_id]]
    rows = await conn.fetch(
        PLACE_ORDERS,
        list(totals),
        list(totals.values()),
        keys,
        currency,
        [account_id for account_id, _ in sold],
        [line.product_id for _, line in sold],
        [line.name for _, line in sold],
        [line.unit_price_minor for _, line in sold],
        [line.quantity for _, line in sold],
    )
    failpoints.hit("checkout: placed")
    orders = {
        account_id: _order(order_id, account_id, carts[account_id], totals[account_id], currency, now) for order_id, account_id, now in rows
    }
    note(conn, EventKind.ORDER_PLACED, [order_id for order_id, _, _ in rows])
    note(conn, EventKind.STOCK_CHANGED, {line.product_id for order in orders.values() for line in order.lines})
    return {buyer: orders[buyer.account_id] for buyer in placed if buyer.account_id in orders}


async def _draft(
    conn: "Conn", drafts: Sequence[Checkout], carts: Mapping[UUID, Sequence[CartLine]], currency: str
) -> dict[Checkout, Order]:
    """Return the orders that a checkout would place, without writing them."""
    if not drafts:
        return {}
    now = await conn.fetchval("SELECT now()")
    carts_of = ((buyer, carts[buyer.account_id]) for buyer in drafts)
    return {buyer: _order(None, buyer.account_id, cart, price_cart(cart).total_minor, currency, now) for buyer, cart in carts_of}


def _order(order_id: UUID | None, account_id: UUID, cart: Iterable[CartLine], total_minor: int, currency: str, now: datetime) -> Order:
    lines = tuple(OrderLine(line.product_id, line.name, line.unit_price_minor, line.quantity) for line in cart)
    return Order(
        id=order_id,
        account_id=account_id,
        status=OrderStatus.PLACED,
        currency_code=currency,
        total_minor=total_minor,
        created_at=now,
        updated_at=now,
        lines=lines,
        history=(OrderTransition(status=OrderStatus.PLACED, actor=Actor(ActorKind.BUYER, account_id), reason="", created_at=now),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A command to move an order to another state; with `owner_id`, an order of another account counts as unknown."""

    order_id: UUID
    status: OrderStatus
    actor: Actor
    reason: str
    owner_id: UUID | None = None


@retry_conflicts
async def transition(pool: "Pool", change: Change, key: IdempotencyKey | None = None) -> Order | Stored:
    """Move an order to another state; CANCELLED puts its units back into stock, in the same transaction.

    Raises OrderNotFound or OrderState.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _change(conn, change), lambda: _require_right(conn, change))


async def _require_right(conn: "Conn", change: Change) -> None:
    """Raise OrderNotFound if the caller may not see the order. An order's account never changes, so this needs no lock."""
    if change.owner_id is not None and await conn.fetchval(GET_OWNER, change.order_id) != change.owner_id:
        raise OrderNotFound(change.order_id)


async def _change(conn: "Conn", change: Change) -> Order:
    row = await conn.fetchrow(LOCK_ORDER, change.order_id)
    if row is None or (change.owner_id is not None and row["account_id"] != change.owner_id):
        raise OrderNotFound(change.order_id)
    check_transition(OrderStatus(row["status"]), change.status)
    # An administrator who cancels an own order acts as its buyer.
    is_owners = change.actor.id == row["account_id"] and change.status is OrderStatus.CANCELLED
    actor = change.actor._replace(kind=ActorKind.BUYER) if is_owners else change.actor
    action = f"order.{change.status}"
    await conn.execute(SET_STATUS, change.order_id, change.status)
    await conn.execute(INSERT_HISTORY, change.order_id, row["version"] + 1, change.status, actor.kind, actor.id, change.reason)
    happened = [Event(EventKind(action), change.order_id, {"account_id": str(row["account_id"])})]
    if change.status is OrderStatus.CANCELLED:
        restocked = await inventory.restock(conn, change.order_id, actor)
        happened += [Event(EventKind.STOCK_CHANGED, product_id) for product_id in restocked]
    await events.append(conn, happened)
    if not is_owners:
        await audit_log.append(conn, actor, action, change.order_id, {"status": row["status"]}, {"status": change.status})
    [order] = await order_lists.read(conn, [change.order_id])
    return order
