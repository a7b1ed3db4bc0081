"""Carts: one row per line. A change of a line is one upsert, never a read followed by a write."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import IDENTITY, connection, identify, patience, retry_conflicts, transaction
from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX, CartLine
from mercato_server.domain.errors import CartEmpty, CartLimit, MercatoError, OutOfStock, ProductNotFound, Shortage
from mercato_server.domain.pricing_errors import QuoteRequired
from mercato_server.domain.provided_taxes import ProvidedTaxes, TaxQuestion
from mercato_server.domain.purchases import EMPTY_CART, PricedCart, PriceTerms, ShippingOption
from mercato_server.domain.quotes import Quote, digest
from mercato_server.store import admission, idempotency, price_book, quotes, sessions
from mercato_server.store.admission import Command
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.price_book import PriceBook
from mercato_server.store.purchases import Found, price_carts

# Part of a statement: the columns of `Found` besides the carts, for the account of a row; $1 has all accounts, which are looked up once.
_MOMENT = f"""now() AS at, {price_book.VERSION},
       {{}} = ANY(ARRAY(SELECT account_id FROM carts WHERE account_id = ANY($1::uuid[])
                        UNION ALL
                       SELECT account_id FROM account_taxes WHERE account_id = ANY($1::uuid[]))) AS has_choices"""  # noqa: S608 - constants

# Part of a statement: the columns of a line's product.
_PRODUCT = """SELECT name, price_minor, deleted_at, category_id, tax_category, needs_delivery, weight_grams,
                             options_text
                        FROM products
                       WHERE id = {}
                      OFFSET 0"""

# Part of a statement: the columns of CartLine, of a row with the line.
_LINE = """{0}.product_id, product.name, {0}.quantity, product.price_minor AS unit_price_minor,
       {0}.unit_price_minor AS added_price_minor, level.on_hand AS stock, product.deleted_at IS NULL AS on_sale,
       product.category_id, coalesce(product.tax_category, '') AS tax_category, product.needs_delivery, product.weight_grams,
       product.options_text"""

# The products and levels of lines are looked up one by one: LATERAL with OFFSET 0 forces that. A plan that was made while the catalog was
# small would join all products, and stay in use while the catalog grows.
GET_CARTS = f"""
SELECT item.account_id, {_MOMENT.format("item.account_id")},
       {_LINE.format("item")}
  FROM cart_items AS item
 CROSS JOIN LATERAL ({_PRODUCT.format("item.product_id")}) AS product
 CROSS JOIN LATERAL (SELECT on_hand FROM stock_levels WHERE product_id = item.product_id AND location_id = 1 OFFSET 0) AS level
 WHERE item.account_id = ANY($1::uuid[])
 ORDER BY item.account_id, item.added_at, item.product_id
"""  # noqa: S608 - constants

# Parts of a statement that changes one line of each admitted account. It checks the limits, so it skips a change that exceeds them and
# makes the others. Two concurrent calls that add different products may together exceed the limit of lines; no invariant depends on it.
_CHANGES = f"""
WITH {admission.ADMITTED_FOR_ROWS}, change AS MATERIALIZED (
    SELECT account_id, product_id, quantity, product.price_minor, product.currency_code
      FROM unnest($1::uuid[], $7::uuid[], $8::integer[]) AS wanted (account_id, product_id, quantity)
      JOIN admitted USING (account_id)
      LEFT JOIN LATERAL (SELECT price_minor, currency_code, deleted_at FROM products WHERE id = wanted.product_id OFFSET 0) AS product
           ON product.deleted_at IS NULL
), made AS (
    INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
    SELECT account_id, product_id, quantity, price_minor, currency_code
      FROM change
     WHERE quantity BETWEEN 1 AND $10::integer AND price_minor IS NOT NULL
       AND (SELECT count(*)
              FROM cart_items AS other
             WHERE other.account_id = change.account_id AND other.product_id <> change.product_id) < $9::integer
     ORDER BY account_id, product_id  -- one lock order
        ON CONFLICT (account_id, product_id) DO UPDATE
"""  # noqa: S608 - constants

# The statement sees the carts as they were when it began, so it answers with the other lines and with the one that it wrote. If it is late,
# the answer is read again.
_ANSWER = f"""
    RETURNING account_id, product_id, quantity, unit_price_minor, added_at
), removed AS (
    DELETE FROM cart_items AS item
     USING change
     WHERE change.quantity = 0 AND item.account_id = change.account_id AND item.product_id = change.product_id
    RETURNING item.account_id
), line AS (
    SELECT item.account_id, item.product_id, item.quantity, item.unit_price_minor, item.added_at
      FROM change
      JOIN cart_items AS item ON item.account_id = change.account_id AND item.product_id <> change.product_id
     UNION ALL
    SELECT account_id, product_id, quantity, unit_price_minor, added_at FROM made
)
SELECT call.account_id, {admission.UNSERVED}, change.quantity = 0 OR made.account_id IS NOT NULL AS is_made,
       change.price_minor IS NOT NULL AS is_on_sale,
       {admission.IS_LATE}, live.network IS NOT NULL AS is_guest, {IDENTITY}, {_MOMENT.format("call.account_id")},
       {_LINE.format("line")}
  FROM call
  LEFT JOIN live USING (account_id)
  LEFT JOIN admitted USING (account_id)
  LEFT JOIN change USING (account_id)
  LEFT JOIN made USING (account_id)
  LEFT JOIN removed USING (account_id)
  LEFT JOIN line ON line.account_id = change.account_id
  LEFT JOIN LATERAL ({_PRODUCT.format("line.product_id")}) AS product ON TRUE
  LEFT JOIN LATERAL (SELECT on_hand
                       FROM stock_levels
                      WHERE product_id = line.product_id AND location_id = 1
                     OFFSET 0) AS level ON TRUE
 ORDER BY call.account_id, line.added_at, line.product_id
"""  # noqa: S608 - constants

# A line that grows keeps its remembered price: its buyer may not have seen the new one.
ADD_LINES = f"""{_CHANGES}
       SET quantity = cart_items.quantity + excluded.quantity
     WHERE cart_items.quantity + excluded.quantity <= $10::integer
{_ANSWER}"""

# A line that is set takes the current price, which acknowledges a change.
SET_LINES = f"""{_CHANGES}
       SET quantity = excluded.quantity, unit_price_minor = excluded.unit_price_minor
{_ANSWER}"""

CLEAR_CARTS = f"""
WITH {admission.ADMITTED_FOR_ROWS}, removed AS (
    DELETE FROM cart_items AS item
     USING admitted
     WHERE item.account_id = admitted.account_id
    RETURNING item.account_id
)
SELECT call.account_id, {admission.UNSERVED}, {IDENTITY}
  FROM call
  LEFT JOIN live USING (account_id)
  LEFT JOIN admitted USING (account_id)
 WHERE (SELECT count(*) FROM removed) >= 0  -- the columns of IDENTITY are those after the deletion
"""  # noqa: S608 - constants

CartResult = PricedCart | Stored | MercatoError


@dataclass(frozen=True, slots=True, eq=False)  # identity as dict key costs nothing
class LineChange:
    """A command to add units of a product to an account's cart, or to set them (0 removes the line)."""

    account_id: UUID
    product_id: UUID
    quantity: int
    session_id: UUID
    """The session that must be live."""
    key: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Clearance:
    """A command to remove all lines of an account's cart."""

    account_id: UUID
    session_id: UUID
    """The session that must be live."""
    key: IdempotencyKey | None = None


async def get(pool: "Pool", account_ids: Sequence[UUID], book: PriceBook) -> list[PricedCart]:
    """Return the cart of each account with its price, and with its lines in the order of their first addition."""
    async with connection(pool) as conn:
        carts, _ = await _priced(conn, account_ids, book)
    return [carts[account_id] for account_id in account_ids]


@retry_conflicts
async def add(pool: "Pool", changes: Sequence[LineChange], book: PriceBook, *, units_max: int = LINE_QUANTITY_MAX) -> list[CartResult]:
    """Add units to carts, all in one transaction; return for each change the resulting cart or its refusal.

    Accounts must differ between the changes. A change that would give a line more than `units_max` units is refused.
    """
    async with transaction(pool, patience=patience(changes)) as conn:
        return await _put(conn, ADD_LINES, changes, book, units_max)


@retry_conflicts
async def put(pool: "Pool", changes: Sequence[LineChange], book: PriceBook, *, units_max: int = LINE_QUANTITY_MAX) -> list[CartResult]:
    """Set the quantities of lines, otherwise like `add`; a quantity of 0 removes the line."""
    async with transaction(pool, patience=patience(changes)) as conn:
        return await _put(conn, SET_LINES, changes, book, units_max)


@retry_conflicts
async def clear(pool: "Pool", commands: Sequence[Clearance]) -> list[CartResult]:
    """Remove all lines of carts, otherwise like `add`."""
    async with transaction(pool, patience=patience(commands)) as conn:
        rows = await conn.fetch(CLEAR_CARTS, *admission.arguments(commands))
        identify(conn, rows[0])
        return await _answers(conn, commands, {row["account_id"]: row["unserved"] for row in rows}, {})


async def _put(conn: "Conn", statement: str, changes: Sequence[LineChange], book: PriceBook, units_max: int) -> list[CartResult]:
    """Make the changes that are possible; return the resulting carts, and the refusals of the others."""
    requests = {change.account_id: change for change in changes}
    products, quantities = [change.product_id for change in changes], [change.quantity for change in changes]
    rows = await conn.fetch(statement, *admission.arguments(changes), products, quantities, LINES_MAX, units_max)
    identify(conn, rows[0])
    reasons: dict[UUID, str | None] = {}
    carts: dict[UUID, list[CartLine]] = {account_id: [] for account_id in requests}
    refusals: dict[UUID, MercatoError] = {}
    late, guests = set(), set[UUID]()
    for account_id, reason, is_made, is_on_sale, is_late, is_guest, _, _, _, _, _, *line in rows:
        reasons[account_id] = reason
        if is_guest:
            guests.add(requests[account_id].session_id)
        if reason is None and not is_made:
            refusals[account_id] = _limit(units_max) if is_on_sale else ProductNotFound(requests[account_id].product_id)
        elif is_late:
            late.add(account_id)
        elif line[0]:
            carts[account_id].append(CartLine._make(line))
    await sessions.require_live(conn, guests)
    made = _found(rows, {account_id: lines for account_id, lines in carts.items() if account_id not in refusals})
    read = await _read(conn, late) if late else made
    priced, _ = await price_carts(conn, read._replace(carts={**made.carts, **read.carts}, choosing=made.choosing | read.choosing), book)
    return await _answers(conn, changes, reasons, {**priced, **refusals})


async def _answers(
    conn: "Conn", commands: Sequence[Command], reasons: Mapping[UUID, str | None], outcomes: Mapping[UUID, PricedCart | MercatoError]
) -> list[CartResult]:
    """Return the answers of commands, and store those of their keys.

    Args:
        conn: the connection of the transaction.
        commands: all commands of the batch.
        reasons: the column UNSERVED by account.
        outcomes: the carts and refusals of the admitted commands by account; a cart that is absent is empty.
    """
    results: dict[Command, CartResult] = {**await admission.unserved(conn, {command: reasons[command.account_id] for command in commands})}
    responses, refused = {}, []
    for command in commands:
        if command in results:
            continue
        outcome = results[command] = outcomes.get(command.account_id, EMPTY_CART)
        if command.key and isinstance(outcome, MercatoError):
            refused.append(command.key)
        elif command.key:
            response = responses[command.key] = command.key.serialize(outcome)
            results[command] = Stored(response, replayed=False)
    if responses:
        await idempotency.store(conn, responses)
    if refused:
        await idempotency.release(conn, refused)
    return [results[command] for command in commands]


async def _priced(conn: "Conn", account_ids: Collection[UUID], book: PriceBook) -> tuple[dict[UUID, PricedCart], PriceTerms]:
    return await price_carts(conn, await _read(conn, account_ids), book)


async def _read(conn: "Conn", account_ids: Collection[UUID]) -> Found:
    carts: dict[UUID, list[CartLine]] = {account_id: [] for account_id in account_ids}
    rows = await conn.fetch(GET_CARTS, list(carts))
    for account_id, _, _, _, *fields in rows:
        carts[account_id].append(CartLine._make(fields))
    return _found(rows, carts)


def _found(rows: Sequence[asyncpg.Record], carts: Mapping[UUID, Sequence[CartLine]]) -> Found:
    """Return carts with what the rows tell of them besides their lines; without rows all carts are empty."""
    found = {account_id: tuple(lines) for account_id, lines in carts.items()}
    choosing = {row["account_id"] for row in rows if row["has_choices"]}
    return Found(found, choosing, rows[0]["at"], rows[0]["rules_version"]) if rows else Found(found, choosing, datetime.now(UTC), 0)


def _limit(units_max: int) -> CartLimit:
    return CartLimit("a cart holds at most {lines} lines of at most {units} units", lines=LINES_MAX, units=units_max)


async def shipping_options(pool: "Pool", account_id: UUID, book: PriceBook) -> list[ShippingOption]:
    """Return the ways to deliver an account's cart, with what it then costs."""
    async with connection(pool) as conn:
        found, terms = await _priced(conn, [account_id], book)
    return terms.shipping_options(found[account_id])


async def tax_question(pool: "Pool", account_id: UUID, book: PriceBook) -> TaxQuestion | None:
    """Return what a provider of taxes must be asked before the cart is quoted, or None; raises what `quote` raises."""
    async with connection(pool) as conn:
        try:
            await _to_quote(conn, account_id, book, None)
        except QuoteRequired as error:
            return error.question
    return None


@retry_conflicts
async def quote(
    pool: "Pool", account_id: UUID, book: PriceBook, key: IdempotencyKey | None = None, provided: ProvidedTaxes | None = None
) -> Quote | Stored:
    """Keep the price of an account's cart as a quote; raises CartEmpty, or why the cart cannot be ordered as it stands.

    Goods that are no longer on sale are OutOfStock. A quote reserves nothing, so it does not look at the stock of the others.
    `provided` has the taxes that a provider has named. Raises QuoteRequired if there must be some, and these are for another purchase.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _quote(conn, account_id, book, provided))


async def _quote(conn: "Conn", account_id: UUID, book: PriceBook, provided: ProvidedTaxes | None) -> Quote:
    cart = await _to_quote(conn, account_id, book, provided)
    return await quotes.add(conn, account_id, cart.price, digest(cart.price, cart.choices.header.destination))


async def _to_quote(conn: "Conn", account_id: UUID, book: PriceBook, provided: ProvidedTaxes | None) -> PricedCart:
    found, terms = await _priced(conn, [account_id], book)
    cart = found[account_id]
    if provided:
        cart = terms.cart(cart.lines, replace(cart.choices, provided=provided))
    if not cart.lines:
        raise CartEmpty
    if gone := [Shortage(line.product_id, line.name, line.quantity, 0) for line in cart.lines if not line.on_sale]:
        raise OutOfStock(gone)
    if cart.price.missing:
        raise cart.price.missing
    return cart
