"""The parts of orders besides their lines: addresses, notes, and the parts of their price.

Another module builds PARTS into its statement, so that one statement places orders. Plain orders are in none of its JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.domain import provided_taxes
from mercato_server.domain.orders import Order
from mercato_server.domain.postal_addresses import PostalAddress, from_json
from mercato_server.domain.pricing import PRICING_VERSION, Breakdown, Delivery, PricedLine, PriceRules
from mercato_server.domain.promotions import Discount
from mercato_server.domain.purchases import Choices
from mercato_server.domain.taxes import TaxTotal, TaxTreatment

ORDER_COLUMNS = """note, shipping_address, billing_address, quote_id, pricing_version, prices_include_tax, tax_rounding, tax_treatment,
           shipping_method_id, shipping_method_name, delivery_minor, delivery_discount_minor, delivery_tax_minor, delivery_relief_minor"""

LINE_COLUMNS = "discount_minor, tax_rate_ppm, tax_minor, relief_minor"

# Part of a statement: what the orders of accounts have, from the parameters of `arguments`.
_GIVEN = f"""given AS MATERIALIZED (
    SELECT account_id, header_version, {ORDER_COLUMNS}
      FROM jsonb_to_recordset($15::jsonb)
           AS given (account_id uuid, header_version bigint,
                     note text, shipping_address jsonb, billing_address jsonb, quote_id uuid, pricing_version smallint,
                     prices_include_tax boolean, tax_rounding text, tax_treatment text, shipping_method_id uuid,
                     shipping_method_name text, delivery_minor bigint, delivery_discount_minor bigint, delivery_tax_minor bigint,
                     delivery_relief_minor bigint)
), given_line AS MATERIALIZED (
    SELECT account_id, product_id, {LINE_COLUMNS}
      FROM jsonb_to_recordset($16::jsonb)
           AS given (account_id uuid, product_id uuid, discount_minor bigint, tax_rate_ppm integer, tax_minor bigint, relief_minor bigint)
),"""  # noqa: S608 - constants

# Part of a statement: writes the parts of `placed (id, account_id)`, in the currency $7, and removes the headers that orders have taken. A
# header that was written since it was read stays.
_PLACED = """discounted AS (
    INSERT INTO order_discounts (order_id, position, promotion_id, name, product_id, amount_minor, currency_code)
    SELECT placed.id, position, promotion_id, name, product_id, amount_minor, $7
      FROM jsonb_to_recordset($17::jsonb)
           AS given (account_id uuid, position smallint, promotion_id uuid, name text, product_id uuid, amount_minor bigint)
      JOIN placed USING (account_id)
), taxed AS (
    INSERT INTO order_taxes (order_id, position, name, rate_ppm, net_minor, tax_minor, delivery_net_minor, delivery_tax_minor,
                             currency_code)
    SELECT placed.id, position, name, rate_ppm, net_minor, tax_minor, delivery_net_minor, delivery_tax_minor, $7
      FROM jsonb_to_recordset($18::jsonb)
           AS given (account_id uuid, position smallint, name text, rate_ppm integer, net_minor bigint, tax_minor bigint,
                     delivery_net_minor bigint, delivery_tax_minor bigint)
      JOIN placed USING (account_id)
), header AS (
    DELETE FROM carts
     USING placed
      JOIN given USING (account_id)
     WHERE carts.account_id = placed.account_id AND carts.version = given.header_version
),"""


class Parts(NamedTuple):
    """Parts of a statement that places orders."""

    given: str = ""
    order_columns: str = ""
    of_order: str = ""
    line_columns: str = ""
    of_line: str = ""
    placed: str = ""


NO_PARTS = Parts()
"""For plain orders."""

PARTS = Parts(
    given=_GIVEN,
    order_columns=f", {ORDER_COLUMNS}",
    of_order="LEFT JOIN given USING (account_id)",
    line_columns=f", {LINE_COLUMNS}",
    of_line="LEFT JOIN given_line USING (account_id, product_id)",
    placed=_PLACED,
)


class Placing(NamedTuple):
    """A new order, and the choices of its buyer."""

    order: Order
    account_id: UUID
    choices: Choices

    @property
    def is_plain(self) -> bool:
        """Whether the order has nothing but lines that cost their sum."""
        order, choices = self.order, self.choices
        return not (order.price or order.quote_id or choices.header.version or choices.treatment is not TaxTreatment.NORMAL)


def arguments(orders: Sequence[Placing], rules: PriceRules) -> tuple[str, ...]:
    """Return the last parameters of a statement that has PARTS; none if all orders are plain."""
    others = [placing for placing in orders if not placing.is_plain]
    if not others:
        return ()
    priced = [(placing.account_id, placing.order.price) for placing in others if placing.order.price]
    tables = (
        [_order(placing, rules) for placing in others],
        [row for account_id, price in priced for row in _lines(account_id, price)],
        [row for account_id, price in priced for row in _discounts(account_id, price)],
        [row for account_id, price in priced for row in _taxes(account_id, price)],
    )
    return tuple(json.dumps(rows, default=str) if rows else "[]" for rows in tables)


def _order(placing: Placing, rules: PriceRules) -> dict[str, Any]:
    order, price = placing.order, placing.order.price
    row: dict[str, Any] = {
        "account_id": placing.account_id,
        "header_version": placing.choices.header.version,
        "note": order.note or None,
        "shipping_address": order.shipping_address and asdict(order.shipping_address),
        "billing_address": order.billing_address and asdict(order.billing_address),
        "quote_id": order.quote_id,
        "tax_treatment": placing.choices.treatment,
    }
    if price:
        row |= {
            "pricing_version": PRICING_VERSION,
            "prices_include_tax": price.prices_include_tax,
            "tax_rounding": provided_taxes.BY_PROVIDER if price.provided else rules.tax_rounding,
        }
    if price and (delivery := price.delivery):
        row |= {
            "shipping_method_id": delivery.method_id,
            "shipping_method_name": delivery.name,
            "delivery_minor": delivery.price_minor,
            "delivery_discount_minor": delivery.discount_minor,
            "delivery_tax_minor": delivery.tax_minor,
            "delivery_relief_minor": delivery.relief_minor,
        }
    return row


def _lines(account_id: UUID, price: Breakdown) -> list[dict[str, Any]]:
    return [
        {
            "account_id": account_id,
            "product_id": line.product_id,
            "discount_minor": line.discount_minor,
            "tax_rate_ppm": line.tax_rate_ppm,
            "tax_minor": line.tax_minor,
            "relief_minor": line.relief_minor,
        }
        for line in price.lines
    ]


def _discounts(account_id: UUID, price: Breakdown) -> list[dict[str, Any]]:
    return [{"account_id": account_id, "position": place, **each._asdict()} for place, each in enumerate(price.discounts)]


def _taxes(account_id: UUID, price: Breakdown) -> list[dict[str, Any]]:
    return [
        {
            "account_id": account_id,
            "position": place,
            "name": total.name,
            "rate_ppm": total.ppm,
            "net_minor": total.net_minor,
            "tax_minor": total.tax_minor,
            "delivery_net_minor": total.delivery_net_minor,
            "delivery_tax_minor": total.delivery_tax_minor,
        }
        for place, total in enumerate(price.taxes)
    ]


GET_DISCOUNTS = """
SELECT order_id, promotion_id, name, product_id, amount_minor
  FROM order_discounts
 WHERE order_id = ANY($1::uuid[])
 ORDER BY order_id, position
"""

GET_TAXES = """
SELECT order_id, name, rate_ppm, net_minor, tax_minor, delivery_net_minor, delivery_tax_minor
  FROM order_taxes
 WHERE order_id = ANY($1::uuid[])
 ORDER BY order_id, position
"""


async def read(conn: "Conn", heads: Mapping[UUID, asyncpg.Record], lines: Mapping[UUID, Sequence[PricedLine]]) -> dict[UUID, Breakdown]:
    """Return the prices of orders that have a pricing version.

    Args:
        conn: a connection whose statements share one snapshot.
        heads: rows of orders with ORDER_COLUMNS and `total_minor`.
        lines: the lines of the wanted ones.
    """
    wanted = list(lines)
    discounts: dict[UUID, list[Discount]] = {order_id: [] for order_id in wanted}
    for order_id, *fields in await conn.fetch(GET_DISCOUNTS, wanted):
        discounts[order_id].append(Discount(*fields))
    taxes: dict[UUID, list[TaxTotal]] = {order_id: [] for order_id in wanted}
    for order_id, name, ppm, *amounts in await conn.fetch(GET_TAXES, wanted):
        taxes[order_id].append(TaxTotal(name, ppm, (), *amounts))
    return {
        order_id: Breakdown(
            lines=tuple(lines[order_id]),
            total_minor=heads[order_id]["total_minor"],
            discounts=tuple(discounts[order_id]),
            delivery=_delivery(heads[order_id]),
            taxes=tuple(taxes[order_id]),
            prices_include_tax=heads[order_id]["prices_include_tax"],
        )
        for order_id in wanted
    }


def _delivery(head: asyncpg.Record) -> Delivery | None:
    if head["shipping_method_id"] is None:
        return None
    return Delivery(
        head["shipping_method_id"],
        head["shipping_method_name"],
        head["delivery_minor"],
        head["delivery_discount_minor"],
        head["delivery_tax_minor"],
        head["delivery_relief_minor"],
    )


def address(text: str | None) -> PostalAddress | None:
    """Return the address of a column."""
    return from_json(text) if text else None
