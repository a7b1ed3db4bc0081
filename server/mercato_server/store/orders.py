"""Checkout: carts become orders."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from mercato_server import failpoints
from mercato_server.config.settings import OrderRules
from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import IDENTITY, identify, note, patience, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.carts import CartLine, price_cart
from mercato_server.domain.errors import IdempotencyKeyReused, MercatoError, OpenOrdersLimit, OutOfStock
from mercato_server.domain.events import EventKind
from mercato_server.domain.orders import Basket, Order, OrderLine, OrderStatus, OrderTransition, Terms, allocate
from mercato_server.store import admission, idempotency, inventory
from mercato_server.store.idempotency import IdempotencyKey, Stored

# The lock of an account lets its checkouts pass one at a time, whatever lines they read: the limit of its unpaid orders needs that. The ids
# of the orders are made here, so that the response of an order is known, and stored, when it is placed.
LOCK_CARTS = f"""
WITH {admission.ADMITTED}, buyer AS MATERIALIZED (
    SELECT id AS account_id, email_verified_at IS NOT NULL AS verified, uuidv7() AS order_id
      FROM accounts
     WHERE id = ANY(ARRAY(SELECT account_id FROM admitted)) AND disabled_at IS NULL  -- also if that happened while this waited
     ORDER BY id
       FOR NO KEY UPDATE
), wanted AS MATERIALIZED (
    SELECT account_id, product_id, quantity, unit_price_minor
      FROM cart_items
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY account_id, product_id
       FOR UPDATE
), {inventory.LOCKED}
SELECT call.account_id, {admission.UNSERVED}, buyer.order_id, buyer.verified, now() AS at, {admission.IS_LATE},
       wanted.product_id, product.name, wanted.quantity, product.price_minor, wanted.unit_price_minor AS added_price_minor,
       coalesce(locked.on_hand, 0) AS stock, product.deleted_at IS NULL AS on_sale, product.version
  FROM call
  LEFT JOIN live USING (account_id)
  LEFT JOIN admitted USING (account_id)
  LEFT JOIN buyer USING (account_id)
  LEFT JOIN wanted USING (account_id)
  LEFT JOIN locked USING (product_id)
  LEFT JOIN LATERAL (SELECT name, price_minor, deleted_at, version FROM products WHERE id = wanted.product_id OFFSET 0) AS product ON TRUE
 ORDER BY call.account_id, wanted.product_id
"""  # noqa: S608 - constants

# A statement that waits for a lock returns the new version of the locked rows, but old versions of joined rows. So LOCK_CARTS may return a
# product as it was before the wait. Transactions that change a product hold its stock level: this statement reads the last version before
# the order.
GET_PRODUCTS = """
SELECT id, name, price_minor, deleted_at IS NULL AS on_sale, version
  FROM products
 WHERE id = ANY($1::uuid[])
"""

# Part of a statement: whether an account may have one more unpaid order, of at most $1 (0: no limit). The account must be locked by an
# earlier statement.
_HAS_ROOM = """($1::integer = 0
            OR (SELECT count(*)
                  FROM (SELECT
                          FROM orders AS open
                         WHERE open.account_id = buyer.account_id AND open.status = 'placed'
                         LIMIT $1) AS counted) < $1)"""

# One statement places orders: it writes the orders, their lines and first status, the ledger, the stock, the events and the responses of
# the keys. It places none if a product is not the version that the caller has priced. It skips an account without room for one more order,
# and an order whose key belongs to an earlier one. It removes from the carts exactly the lines that were read; a line that was added since
# stays.
PLACE_ORDERS = f"""
WITH buyer AS MATERIALIZED (
    SELECT account_id, order_id, total_minor, idempotency_key, response, {_HAS_ROOM} AS has_room
      FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bytea[])
           AS buyer (account_id, order_id, total_minor, idempotency_key, response)
), priced AS MATERIALIZED (
    SELECT account_id, product_id, quantity, product.name AS product_name, product.price_minor AS unit_price_minor
      FROM unnest($9::uuid[], $10::uuid[], $11::integer[], $12::bigint[]) AS item (account_id, product_id, quantity, version)
      LEFT JOIN LATERAL (SELECT name, price_minor, version FROM products WHERE id = item.product_id OFFSET 0) AS product
           ON product.version = item.version
), products_now AS MATERIALIZED (
    SELECT bool_and(product_name IS NOT NULL) AS as_priced FROM priced
), placed AS (
    INSERT INTO orders (id, account_id, status, currency_code, total_minor, idempotency_key, payment_due_at)
    SELECT order_id, account_id, 'placed', $7, total_minor, idempotency_key, $8::timestamptz
      FROM buyer
     WHERE has_room AND (SELECT as_priced FROM products_now)
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account_id
), line AS (
    SELECT placed.id AS order_id, account_id, product_id, product_name, unit_price_minor, quantity
      FROM priced
      JOIN placed USING (account_id)
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
    SELECT order_id, product_id, product_name, unit_price_minor, $7, quantity FROM line
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
), answered AS (
    UPDATE idempotency_keys AS stored
       SET response = buyer.response
      FROM buyer
      JOIN placed USING (account_id)
     WHERE stored.scope_id = buyer.account_id AND stored.key = buyer.idempotency_key
)
SELECT account_id, products_now.as_priced, has_room, placed.id IS NOT NULL AS is_placed, {IDENTITY}
  FROM buyer
 CROSS JOIN products_now
  LEFT JOIN placed USING (account_id)
"""  # noqa: S608 - constants

GET_ROOM = f"SELECT account_id, {_HAS_ROOM} AS has_room FROM unnest($2::uuid[]) AS buyer (account_id)"  # noqa: S608 - constants


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


class Buyer(NamedTuple):
    """A locked account with its cart, and what an order of it would be."""

    cart: Sequence[CartLine]
    order_id: UUID
    verified: bool
    """Whether it has verified the e-mail address."""
    at: datetime


class Locked(NamedTuple):
    """The locked carts of a batch with their stock, and the products as they were priced."""

    buyers: Mapping[Checkout, Buyer]
    versions: Mapping[UUID, int]
    """By product."""
    is_late: bool
    """Whether the products may have changed before their stock was locked. After that they do not."""

    def stock(self) -> dict[UUID, int]:
        """Return the units of the products that are on sale."""
        return {line.product_id: line.stock for buyer in self.buyers.values() for line in buyer.cart if line.on_sale}


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
        locked, reasons = await _lock_carts(conn, batch)
        results: Outcomes = {**await admission.unserved(conn, reasons)}
        failpoints.hit("checkout: locked")
        if locked.is_late:
            locked = await _price_again(conn, locked)
        results |= await _serve(conn, locked, currency, rules)
        refused = [request for request in batch if isinstance(results[request], MercatoError) and admission.has_claimed(reasons[request])]
        if keys := [request.key for request in refused if request.key]:
            await idempotency.release(conn, keys)
    return [results[request] for request in batch]


async def _lock_carts(conn: "Conn", batch: Sequence[Checkout]) -> tuple[Locked, dict[Checkout, str | None]]:
    """Lock the accounts, their carts, then the stock of the products; return them, and why which checkouts are not admitted."""
    requests = {request.account_id: request for request in batch}
    reasons: dict[Checkout, str | None] = {}
    carts: dict[Checkout, list[CartLine]] = {request: [] for request in batch}
    buyers: dict[Checkout, Buyer] = {}
    versions = {}
    is_late = False
    rows = await conn.fetch(LOCK_CARTS, *admission.arguments(batch))
    for account_id, reason, order_id, verified, at, is_late, product_id, *fields, version in rows:  # noqa: B007 - one for all rows
        request = requests[account_id]
        reasons[request] = reason or (None if order_id else admission.DISABLED)
        if reasons[request]:
            continue
        buyers[request] = Buyer(carts[request], order_id, verified, at)
        if product_id:
            carts[request].append(CartLine(product_id, *fields))
            versions[product_id] = version
    return Locked({request: buyers[request] for request in batch if request in buyers}, versions, is_late), reasons


async def _price_again(conn: "Conn", locked: Locked) -> Locked:
    """Return the carts with the products as they are now; while their stock is locked, they do not change."""
    products = {row["id"]: row for row in await conn.fetch(GET_PRODUCTS, list(locked.versions))}

    def now(line: CartLine) -> CartLine:
        _, name, price, on_sale, _ = products[line.product_id]
        return line._replace(name=name, unit_price_minor=price, on_sale=on_sale)

    buyers = {request: buyer._replace(cart=[now(line) for line in buyer.cart]) for request, buyer in locked.buyers.items()}
    return Locked(buyers, {product_id: row["version"] for product_id, row in products.items()}, is_late=True)


async def _serve(conn: "Conn", locked: Locked, currency: str, rules: OrderRules) -> Outcomes:
    """Place the orders for which the stock is sufficient, in the order of arrival; return each buyer's order or refusal.

    Only placing reveals a key that belongs to an earlier order, or an account with too many unpaid orders. By then that buyer has reserved
    stock. The buyers that were refused for a shortage then get another round with the remaining stock. Each round but the last refuses at
    least one buyer so late, so there are at most as many rounds as buyers. Placing also reveals that products have changed since they were
    priced; that takes one round more.
    """
    results: Outcomes = {}
    waiting: Sequence[Checkout] = list(locked.buyers)
    sold: Counter[UUID] = Counter()
    while waiting:
        left = Counter(locked.stock())
        left.subtract(sold)
        baskets = [
            Basket(buyer.cart, request.terms, request.validate_only, buyer.verified)
            for request, buyer in ((request, locked.buyers[request]) for request in waiting)
        ]
        outcomes = allocate(baskets, left, units_max=rules.units_per_product, verified_only=rules.verified_only)
        refused = {request: refusal for request, refusal in zip(waiting, outcomes, strict=True) if refusal}
        accepted = {request: locked.buyers[request] for request in waiting if request not in refused}
        placed = await _place(conn, accepted, locked.versions, currency, rules)
        if placed is None and locked.is_late:
            raise RuntimeError("a product has changed although its stock is locked")
        if placed is None:
            locked = await _price_again(conn, locked)
            continue
        results |= refused | placed | await _draft(conn, accepted, currency, rules)
        if not any(isinstance(result, MercatoError) for result in placed.values()):
            break
        waiting = [request for request, refusal in refused.items() if isinstance(refusal, OutOfStock)]
        sold.update(_units(accepted[request] for request, result in placed.items() if not isinstance(result, MercatoError)))
    return results


def _units(buyers: Iterable[Buyer]) -> Counter[UUID]:
    """Return the units of each product in carts."""
    units: Counter[UUID] = Counter()
    for buyer in buyers:
        units.update({line.product_id: line.quantity for line in buyer.cart})
    return units


async def _place(
    conn: "Conn", accepted: Mapping[Checkout, Buyer], versions: Mapping[UUID, int], currency: str, rules: OrderRules
) -> Outcomes | None:
    """Write the orders of allocated carts, except those that are only validated, with the responses of their keys.

    Returns each buyer's order, or the refusal that only writing reveals; None if nothing was written, because a product has changed.
    """
    orders = {
        request: _order(buyer, request.account_id, buyer.order_id, currency, rules)
        for request, buyer in accepted.items()
        if not request.validate_only
    }
    if not orders:
        return {}
    responses = {request: request.key.serialize(order) for request, order in orders.items() if request.key}
    lines = [(request.account_id, line) for request, order in orders.items() for line in order.lines]
    rows = await conn.fetch(
        PLACE_ORDERS,
        rules.open_orders,
        [request.account_id for request in orders],
        [order.id for order in orders.values()],
        [order.total_minor for order in orders.values()],
        [request.key.key if request.key else None for request in orders],
        [responses.get(request) for request in orders],
        currency,
        next(iter(orders.values())).payment_due_at,
        [account_id for account_id, _ in lines],
        [line.product_id for _, line in lines],
        [line.quantity for _, line in lines],
        [versions[line.product_id] for _, line in lines],
    )
    if not rows[0]["as_priced"]:
        return None
    failpoints.hit("checkout: placed")
    identify(conn, rows[0])
    told = {row["account_id"]: row for row in rows}
    placed = {request: order for request, order in orders.items() if told[request.account_id]["is_placed"]}
    note(conn, EventKind.ORDER_PLACED, [accepted[request].order_id for request in placed])
    note(conn, EventKind.STOCK_CHANGED, {line.product_id for order in placed.values() for line in order.lines})

    def outcome(request: Checkout, order: Order) -> CheckoutResult:
        if request in placed:
            return Stored(responses[request], replayed=False) if request in responses else order
        return IdempotencyKeyReused() if told[request.account_id]["has_room"] else OpenOrdersLimit(rules.open_orders)

    return {request: outcome(request, order) for request, order in orders.items()}


async def _draft(conn: "Conn", accepted: Mapping[Checkout, Buyer], currency: str, rules: OrderRules) -> Outcomes:
    """Return the orders that checkouts with `validate_only` would place, or their refusals, without writing them."""
    drafts = {request.account_id: request for request in accepted if request.validate_only}
    if not drafts:
        return {}
    rows = await conn.fetch(GET_ROOM, rules.open_orders, list(drafts))

    def outcome(account_id: UUID, *, has_room: bool) -> CheckoutResult:
        return _order(accepted[drafts[account_id]], account_id, None, currency, rules) if has_room else OpenOrdersLimit(rules.open_orders)

    return {drafts[account_id]: outcome(account_id, has_room=has_room) for account_id, has_room in rows}


def _order(buyer: Buyer, account_id: UUID, order_id: UUID | None, currency: str, rules: OrderRules) -> Order:
    return Order(
        id=order_id,
        account_id=account_id,
        status=OrderStatus.PLACED,
        currency_code=currency,
        total_minor=price_cart(buyer.cart).total_minor,
        created_at=buyer.at,
        updated_at=buyer.at,
        lines=tuple(OrderLine(line.product_id, line.name, line.unit_price_minor, line.quantity) for line in buyer.cart),
        history=(OrderTransition(status=OrderStatus.PLACED, actor=Actor(ActorKind.BUYER, account_id), reason="", created_at=buyer.at),),
        version=1,
        payment_due_at=buyer.at + timedelta(seconds=rules.payment_due_s) if rules.payment_due_s else None,
    )
