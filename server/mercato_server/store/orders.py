"""Checkout: carts become orders."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import asyncpg

from mercato_server import failpoints
from mercato_server.config.settings import OrderRules
from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import IDENTITY, StaleReadError, identify, note, patience, retry_conflicts, transaction
from mercato_server.domain.accounts import SERVER, Actor, ActorKind
from mercato_server.domain.carts import CartLine
from mercato_server.domain.errors import IdempotencyKeyReused, MercatoError, OpenOrdersLimit, OutOfStock
from mercato_server.domain.events import EventKind
from mercato_server.domain.order_numbers import new_numbers
from mercato_server.domain.order_tally import OrderTally
from mercato_server.domain.orders import (
    Basket,
    Order,
    OrderLine,
    OrderStatus,
    OrderTransition,
    PaymentStatus,
    Sale,
    SystemReason,
    allocate,
)
from mercato_server.domain.pricing import Breakdown
from mercato_server.domain.promotion_errors import PromotionExhausted
from mercato_server.domain.purchases import promotion_uses
from mercato_server.domain.redemptions import Redemption
from mercato_server.store import admission, idempotency, inventory, locked_carts, order_prices, purchases, redemptions
from mercato_server.store.idempotency import Stored
from mercato_server.store.locked_carts import Checkout, Locked
from mercato_server.store.order_prices import Placing
from mercato_server.store.price_book import PriceBook

# Part of a statement: whether an account may have one more unpaid order, of at most $1 (0: no limit). The account must be locked by an
# earlier statement.
_HAS_ROOM = """($1::integer = 0
            OR (SELECT count(*)
                  FROM (SELECT
                          FROM orders AS open
                         WHERE open.account_id = buyer.account_id AND open.status = 'placed'
                         LIMIT $1) AS counted) < $1)"""


def _place_orders(parts: order_prices.Parts) -> str:
    """Return the statement that places orders with these parts.

    It writes the orders, their lines and first status, the ledger, the stock, the events and the responses of the keys. It places none if a
    product is not the version that the caller has priced. It skips an account without room for one more order, and an order whose key
    belongs to an earlier one. It removes from the carts exactly the lines that were read; a line that was added since stays.
    """
    return f"""
WITH buyer AS MATERIALIZED (
    SELECT account_id, order_id, total_minor, idempotency_key, response, number, contact_email, {_HAS_ROOM} AS has_room
      FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bytea[], string_to_array($13, ' '), $14::text[])
           AS buyer (account_id, order_id, total_minor, idempotency_key, response, number, contact_email)
), {parts.given} priced AS MATERIALIZED (
    SELECT account_id, product_id, quantity, product.name AS product_name, product.price_minor AS unit_price_minor,
           product.options_text
      FROM unnest($9::uuid[], $10::uuid[], $11::integer[], $12::bigint[]) AS item (account_id, product_id, quantity, version)
      LEFT JOIN LATERAL (SELECT name, price_minor, options_text, version FROM products WHERE id = item.product_id OFFSET 0) AS product
           ON product.version = item.version
), products_now AS MATERIALIZED (
    SELECT bool_and(product_name IS NOT NULL) AS as_priced FROM priced
), placed AS (
    INSERT INTO orders (id, account_id, status, currency_code, total_minor, idempotency_key, payment_due_at, number, contact_email
                        {parts.order_columns})
    SELECT order_id, account_id, 'placed', $7, total_minor, idempotency_key, $8::timestamptz, number, contact_email
           {parts.order_columns}
      FROM buyer {parts.of_order}
     WHERE has_room AND (SELECT as_priced FROM products_now)
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account_id
), line AS (
    SELECT placed.id AS order_id, account_id, product_id, product_name, unit_price_minor, quantity, options_text
      FROM priced
      JOIN placed USING (account_id)
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity, options_text
                             {parts.line_columns})
    SELECT order_id, product_id, product_name, unit_price_minor, $7, quantity, options_text {parts.line_columns}
      FROM line {parts.of_line}
), {parts.placed} history AS (
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


PLACE_ORDERS = _place_orders(order_prices.PARTS)

# Most orders are plain. Their statement is cheaper: PostgreSQL prepares each part for each execution, also one without rows.
PLACE_PLAIN_ORDERS = _place_orders(order_prices.NO_PARTS)

# The second step of orders for which nothing is to be paid, in the transaction that places them.
PAY_FREE_ORDERS = """
WITH paid AS (
    UPDATE orders
       SET status = 'paid', version = 2, booked_version = 2, payment_status = 'paid', fulfillment_status = 'unfulfilled'
     WHERE id = ANY($1::uuid[])
    RETURNING id, account_id
), history AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT id, 2, 'paid', $2, $3, $4 FROM paid
)
INSERT INTO events (kind, subject_id, payload)
SELECT 'order.paid', id, jsonb_build_object('account_id', account_id) FROM paid
"""

GET_ROOM = f"SELECT account_id, {_HAS_ROOM} AS has_room FROM unnest($2::uuid[]) AS buyer (account_id)"  # noqa: S608 - constants


CheckoutResult = Order | Stored | MercatoError
Outcomes = dict[Checkout, CheckoutResult]


@dataclass(frozen=True, slots=True)
class Shop:
    """The settings and price rules that all checkouts of a worker share."""

    currency: str
    """Code of the shop's currency."""
    rules: OrderRules = field(default_factory=OrderRules)
    """The limits of an order."""
    book: PriceBook = field(default_factory=PriceBook)
    tally: OrderTally = field(default_factory=OrderTally, compare=False)
    """The orders that they have placed."""


class _Served(NamedTuple):
    """A basket that is served, and its price."""

    basket: Basket
    price: Breakdown


@retry_conflicts
async def checkout(pool: "Pool", batch: Sequence[Checkout], shop: Shop) -> list[CheckoutResult]:
    """Turn each buyer's cart into an order, all in one transaction; return for each checkout its order, stored response or refusal.

    A refusal, for example of an ended session, leaves its cart unchanged and does not affect the other checkouts. A key that was used
    before returns its stored response. Accounts must differ within a batch. Earlier checkouts of a batch get scarce stock, and the last
    uses of a promotion.
    """
    placed: list[Order] = []
    with _drawing_numbers_again():
        async with transaction(pool, patience=patience(batch)) as conn:
            results = await _checkout(conn, batch, shop, placed)
    shop.tally.count(placed)
    return results


@contextmanager
def _drawing_numbers_again() -> Iterator[None]:
    """Let a transaction run again if a number that it has drawn is that of an earlier order."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "orders_number":
            raise StaleReadError from None
        raise


async def _checkout(conn: "Conn", batch: Sequence[Checkout], shop: Shop, written: list[Order]) -> list[CheckoutResult]:
    """Check a batch out; the orders that this writes are appended to `written`."""
    locked, reasons = await locked_carts.lock(conn, batch, shop.rules.open_orders)
    results: Outcomes = {**await admission.unserved(conn, reasons)}
    failpoints.hit("checkout: locked")
    if locked.is_late:
        locked = await locked_carts.price_again(conn, locked)
    results |= await _serve(conn, locked, shop, written)
    refused = [request for request in batch if isinstance(results[request], MercatoError) and admission.has_claimed(reasons[request])]
    if keys := [request.key for request in refused if request.key]:
        await idempotency.release(conn, keys)
    return [results[request] for request in batch]


async def _serve(conn: "Conn", locked: Locked, shop: Shop, written: list[Order]) -> Outcomes:
    """Place the orders for which the stock is sufficient, in the order of arrival; return each buyer's order or refusal.

    Only placing reveals a key that belongs to an earlier order, or an account with too many unpaid orders. By then that buyer has reserved
    stock and uses of promotions. The buyers that were refused for a lack of them then get another round with what is left. Each round but
    the last refuses at least one buyer so late, so there are at most as many rounds as buyers. Placing also reveals that products have
    changed since they were priced; that takes one round more.
    """
    results: Outcomes = {}
    waiting: Sequence[Checkout] = list(locked.buyers)
    baskets, sale = await purchases.offer(conn, locked, shop.book, shop.rules)
    while waiting:
        outcomes = dict(zip(waiting, allocate([baskets[request] for request in waiting], sale), strict=True))
        refused = {request: outcome for request, outcome in outcomes.items() if isinstance(outcome, MercatoError)}
        served = {request: _Served(baskets[request], price) for request, price in outcomes.items() if isinstance(price, Breakdown)}
        placed = await _place(conn, locked, served, sale, shop, written)
        if placed is None and locked.is_late:
            raise RuntimeError("a product has changed although its stock is locked")
        if placed is None:
            locked = await locked_carts.price_again(conn, locked)
            baskets, sale = await purchases.offer(conn, locked, shop.book, shop.rules)
            continue
        results |= refused | placed | await _draft(conn, locked, served, shop)
        if not any(isinstance(result, MercatoError) for result in placed.values()):
            break
        waiting = [request for request, refusal in refused.items() if isinstance(refusal, OutOfStock | PromotionExhausted)]
        sale = sale.after(served[request] for request, result in placed.items() if not isinstance(result, MercatoError))
    return results


async def _place(
    conn: "Conn", locked: Locked, served: Mapping[Checkout, _Served], sale: Sale, shop: Shop, written: list[Order]
) -> Outcomes | None:
    """Write the orders of served baskets, except those that are only validated, with the responses of their keys.

    Returns each buyer's order, or the refusal that only writing reveals; None if nothing was written, because a product has changed.
    """
    ordered = [request for request in served if not request.validate_only]
    if not ordered:
        return {}
    numbers = new_numbers(len(ordered))
    orders = {request: _order(request, locked, served[request], shop, number) for request, number in zip(ordered, numbers, strict=True)}
    responses = {request: request.key.serialize(order) for request, order in orders.items() if request.key}
    lines = [(request.account_id, line) for request, order in orders.items() for line in order.lines]
    parts = order_prices.arguments(
        [Placing(order, request.account_id, served[request].basket.choices) for request, order in orders.items()], sale.rules
    )
    rows = await conn.fetch(
        PLACE_ORDERS if parts else PLACE_PLAIN_ORDERS,
        shop.rules.open_orders,
        [request.account_id for request in orders],
        [order.id for order in orders.values()],
        [order.total_minor for order in orders.values()],
        [request.key.key if request.key else None for request in orders],
        [responses.get(request) for request in orders],
        shop.currency,
        next(iter(orders.values())).payment_due_at,
        [account_id for account_id, _ in lines],
        [line.product_id for _, line in lines],
        [line.quantity for _, line in lines],
        [locked.versions[line.product_id] for _, line in lines],
        " ".join([order.number for order in orders.values()]),  # the driver encodes one text much faster than an array
        [order.contact_email for order in orders.values()],
        *parts,
    )
    if not rows[0]["as_priced"]:
        return None
    failpoints.hit("checkout: placed")
    identify(conn, rows[0])
    told = {row["account_id"]: row for row in rows}
    placed = {request: order for request, order in orders.items() if told[request.account_id]["is_placed"]}
    written.extend(placed.values())
    if free := [order.id for order in placed.values() if order.status is OrderStatus.PAID]:
        await conn.execute(PAY_FREE_ORDERS, free, SERVER.kind, SERVER.id, SystemReason.NOTHING_TO_PAY)
        note(conn, EventKind.ORDER_PAID, [order_id for order_id in free if order_id])
    if sale.rules.promotions:
        await _redeem(conn, [(order, served[request]) for request, order in placed.items()], sale, shop)
    note(conn, EventKind.ORDER_PLACED, [locked.buyers[request].order_id for request in placed])
    note(conn, EventKind.STOCK_CHANGED, {line.product_id for order in placed.values() for line in order.lines})

    def outcome(request: Checkout, order: Order) -> CheckoutResult:
        if request in placed:
            return Stored(responses[request], replayed=False) if request in responses else order
        return IdempotencyKeyReused() if told[request.account_id]["has_room"] else OpenOrdersLimit(shop.rules.open_orders)

    return {request: outcome(request, order) for request, order in orders.items()}


async def _redeem(conn: "Conn", placed: Sequence[tuple[Order, _Served]], sale: Sale, shop: Shop) -> None:
    """Write the uses of promotions by orders, in one statement if there are any.

    Raises StaleReadError if a promotion was archived or limited since its uses were read; then the transaction runs again.
    """
    used = [
        Redemption(order.id, each.promotion.id, each.folded_code, each.amount_minor, served.basket.choices.subjects)
        for order, served in placed
        if order.id
        for each in promotion_uses(served.price, served.basket.choices, sale.rules)
    ]
    if used and not await redemptions.redeem(conn, used, sale.uses.locked, shop.currency):
        raise StaleReadError


async def _draft(conn: "Conn", locked: Locked, served: Mapping[Checkout, _Served], shop: Shop) -> Outcomes:
    """Return the orders that checkouts with `validate_only` would place, or their refusals, without writing them."""
    drafts = {request.account_id: request for request in served if request.validate_only}
    if not drafts:
        return {}
    rows = await conn.fetch(GET_ROOM, shop.rules.open_orders, list(drafts))

    def outcome(request: Checkout, *, has_room: bool) -> CheckoutResult:
        return _order(request, locked, served[request], shop, "") if has_room else OpenOrdersLimit(shop.rules.open_orders)

    return {drafts[account_id]: outcome(drafts[account_id], has_room=has_room) for account_id, has_room in rows}


def _order(request: Checkout, locked: Locked, served: _Served, shop: Shop, number: str) -> Order:
    """Return the order of a basket, which is paid at once if it costs nothing; without a number it is only a draft."""
    buyer, basket, price = locked.buyers[request], served.basket, served.price
    header, actor, due_s = basket.choices.header, Actor(ActorKind.BUYER, request.account_id), shop.rules.payment_due_s
    order = Order(
        id=buyer.order_id if number else None,
        account_id=request.account_id,
        status=OrderStatus.PLACED,
        currency_code=shop.currency,
        total_minor=price.total_minor,
        created_at=locked.at,
        updated_at=locked.at,
        lines=tuple([_line(line) for line in buyer.cart]),
        history=(OrderTransition(status=OrderStatus.PLACED, actor=actor, reason="", created_at=locked.at),),
        version=1,
        payment_due_at=locked.at + timedelta(seconds=due_s) if due_s else None,
        number=number,
        price=price if price.has_parts else None,
        shipping_address=header.shipping_address,
        billing_address=header.billing_address,
        contact_email=header.contact_email or buyer.email or "",
        note=header.note,
        quote_id=request.terms.quote_id,
    )
    if price.total_minor:
        return order
    return _paid(order) if number else order._replace(payment_status=PaymentStatus.PAID)


def _line(line: CartLine) -> OrderLine:
    return OrderLine(line.product_id, line.name, line.unit_price_minor, line.quantity, options_text=line.options_text)


def _paid(order: Order) -> Order:
    """Return an order after its second step, which PAY_FREE_ORDERS writes."""
    step = OrderTransition(status=OrderStatus.PAID, actor=SERVER, reason=SystemReason.NOTHING_TO_PAY, created_at=order.created_at)
    paid = PaymentStatus.PAID
    return order._replace(status=OrderStatus.PAID, payment_status=paid, history=(*order.history, step), version=2)
