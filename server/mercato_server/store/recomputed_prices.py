"""Prices of orders, recomputed by the domain's rules: a stream of the orders that disagree, in bounded memory."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.domain.kept_prices import KeptOrder, disagreements
from mercato_server.domain.pricing import PRICING_VERSION, PricedLine
from mercato_server.domain.promotions import PromotionKind
from mercato_server.domain.provided_taxes import BY_PROVIDER
from mercato_server.domain.taxes import TaxRounding, TaxTreatment
from mercato_server.store import order_lists, order_prices

ORDERS_AT_ONCE = 500
"""Orders whose parts are in memory together."""

# Newest first. A NULL for $1 stands for all orders, a NULL for $2 for any number of them.
GET_PRICED_ORDERS = f"""
SELECT id, total_minor, {order_prices.ORDER_COLUMNS}
  FROM orders
 WHERE pricing_version = $3 AND ($1::uuid[] IS NULL OR id = ANY($1))
 ORDER BY id DESC
 LIMIT $2
"""  # noqa: S608 - constants

GET_KINDS = "SELECT id, kind FROM promotions WHERE id = ANY($1::uuid[])"


async def disagreeing(conn: "Conn", orders: Sequence[UUID] | None, newest: int | None) -> AsyncIterator[tuple[UUID, list[str]]]:
    """Yield the orders whose price the rules do not give, with the fields that disagree; `conn` is in a transaction.

    Orders of other pricing versions, and orders that cost the sum of their lines, are left alone.

    Args:
        conn: a connection within a transaction whose statements share one snapshot.
        orders: the orders to look at; None for all.
        newest: the largest number of orders, the newest first; None for all.
    """
    priced = await conn.cursor(GET_PRICED_ORDERS, orders, newest, PRICING_VERSION)
    while heads := {row["id"]: row for row in await priced.fetch(ORDERS_AT_ONCE)}:
        for order_id, kept in (await _kept(conn, heads)).items():
            if wrong := disagreements(kept):
                yield order_id, wrong


async def _kept(conn: "Conn", heads: dict[UUID, asyncpg.Record]) -> dict[UUID, KeptOrder]:
    lines: dict[UUID, list[PricedLine]] = {order_id: [] for order_id in heads}
    for order_id, line, costs in await order_lists.lines_of(conn, list(heads)):
        lines[order_id].append(order_lists.priced(line, costs))
    prices = await order_prices.read(conn, heads, lines)
    named = {discount.promotion_id for price in prices.values() for discount in price.discounts}
    kinds = {row["id"]: PromotionKind(row["kind"]) for row in await conn.fetch(GET_KINDS, list(named))} if named else {}
    unknown = dict.fromkeys(named - kinds.keys(), PromotionKind.UNKNOWN)  # another invariant reports a promotion that is not there
    return {
        order_id: KeptOrder(
            prices[order_id],
            None if head["tax_rounding"] == BY_PROVIDER else TaxRounding(head["tax_rounding"]),
            TaxTreatment(head["tax_treatment"] or TaxTreatment.NORMAL),
            kinds | unknown,
        )
        for order_id, head in heads.items()
    }
