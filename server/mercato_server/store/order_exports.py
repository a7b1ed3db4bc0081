"""Exports of orders and refunds for accounting, as CSV: a row for each line, and for each tax rate of the delivery."""

from datetime import date, datetime, time
from enum import StrEnum
from typing import BinaryIO
from zoneinfo import ZoneInfo

from mercato_server.database.pool import Pool
from mercato_server.store import order_lists, shop_settings
from mercato_server.store.order_times import MISDATED, id_bounds
from mercato_server.store.spreadsheets import protected, write_csv


class Export(StrEnum):
    """The kind of an export."""

    ORDERS = "orders"
    """The orders that were placed in a time."""
    REFUNDS = "refunds"
    """The orders that became REFUNDED in a time; their quantities and amounts are negative."""


SET_TIME_ZONE = "SELECT set_config('TimeZone', $1, true)"

# Goods have one rate each. A delivery may be divided among rates, and the rest of it bears no tax. Its first row alone has its price, so
# that no sum has that twice.
_PARTS = """
    SELECT 'product' AS kind, product_id AS item_id, product_name AS name, options_text, quantity, unit_price_minor,
           coalesce(discount_minor, 0) AS discount_minor, coalesce(relief_minor, 0) AS relief_minor,
           quantity * unit_price_minor - coalesce(discount_minor + relief_minor, 0)
           - CASE WHEN included THEN coalesce(tax_minor, 0) ELSE 0 END AS net_minor,
           tax_rate_ppm, coalesce(tax_minor, 0) AS tax_minor, 0 AS place
      FROM order_items
     WHERE order_id = placed.id
     UNION ALL
    SELECT 'delivery', shipping_method_id, shipping_method_name, '', CASE place WHEN 1 THEN 1 END,
           CASE place WHEN 1 THEN delivery_minor END, CASE place WHEN 1 THEN delivery_discount_minor END,
           CASE place WHEN 1 THEN delivery_relief_minor END, net_minor, rate_ppm, tax_minor, place
      FROM (SELECT rate_ppm, net_minor, tax_minor, row_number() OVER (ORDER BY position) AS place
              FROM (SELECT position, rate_ppm, delivery_net_minor AS net_minor, delivery_tax_minor AS tax_minor
                      FROM order_taxes
                     WHERE order_id = placed.id AND delivery_net_minor + delivery_tax_minor > 0
                     UNION ALL
                    SELECT NULL, NULL, untaxed_minor, 0
                      FROM (SELECT delivery_minor - delivery_discount_minor - delivery_relief_minor
                                   - coalesce(sum(delivery_net_minor + CASE WHEN included THEN delivery_tax_minor ELSE 0 END), 0)
                                   AS untaxed_minor,
                                   coalesce(sum(delivery_net_minor + delivery_tax_minor), 0) > 0 AS is_taxed
                              FROM order_taxes
                             WHERE order_id = placed.id) AS rest
                     WHERE untaxed_minor > 0 OR NOT is_taxed) AS portion) AS numbered
     WHERE shipping_method_id IS NOT NULL
     ORDER BY place, item_id
"""


def _export(wanted: str, sign: int) -> str:
    """Return the statement of an export of wanted orders, which are `(id, changed_at)`, with that sign of quantities and amounts.

    Nested loops keep the order of the wanted ones, so the rows need no sorting.
    """
    return f"""
SELECT number AS order_number, placed.id AS order_id, to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM') AS placed_at,
       to_char(coalesce(wanted.changed_at, updated_at), 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM') AS changed_at, status, currency_code, kind,
       item_id, {protected("name")} AS name, {sign} * quantity AS quantity, unit_price_minor, {sign} * discount_minor AS discount_minor,
       {sign} * relief_minor AS relief_minor, {sign} * net_minor AS net_minor, tax_rate_ppm, {sign} * tax_minor AS tax_minor,
       {sign} * (net_minor + tax_minor) AS gross_minor, shipping_address->>'country_code' AS country_code,
       coalesce(tax_treatment, 'normal') AS tax_treatment,
       {protected("coalesce(nullif(billing_address->>'vat_number', ''), shipping_address->>'vat_number')")} AS vat_number,
       {protected("options_text")} AS options_text
  FROM ({wanted}) AS wanted
 CROSS JOIN LATERAL (SELECT id, number, created_at, updated_at, status, currency_code, shipping_address, billing_address, tax_treatment,
                            coalesce(prices_include_tax, true) AS included, shipping_method_id, shipping_method_name, delivery_minor,
                            delivery_discount_minor, delivery_tax_minor, delivery_relief_minor
                       FROM orders
                      WHERE id = wanted.id
                     OFFSET 0) AS placed
 CROSS JOIN LATERAL ({_PARTS}) AS part
"""  # noqa: S608 - constants


EXPORT_ORDERS = _export(
    f"""SELECT id, NULL::timestamptz AS changed_at
          FROM orders
         WHERE created_at >= $1 AND created_at < $2 AND id >= $3 AND id < $4
         UNION
        SELECT id, NULL
          FROM orders
         WHERE created_at >= $1 AND created_at < $2 AND {MISDATED}
         ORDER BY id""",  # noqa: S608 - constants
    1,
)

EXPORT_REFUNDS = _export(
    """SELECT order_id AS id, created_at AS changed_at
         FROM order_history
        WHERE status = 'refunded' AND created_at >= $1 AND created_at < $2
        ORDER BY created_at, order_id""",
    -1,
)


async def export(pool: "Pool", kind: Export, first: date, end: date, output: BinaryIO) -> int:
    """Write the orders or refunds from the first day to the day before `end` as CSV, the oldest first; return the number of rows.

    Days and times are those of the shop's time zone. The export reads one snapshot, and its memory does not grow with the number of orders.
    """
    async with pool.acquire() as conn, order_lists.snapshot(conn):
        zone = (await shop_settings.load(conn)).time_zone
        await conn.execute(SET_TIME_ZONE, zone)
        start, stop = (datetime.combine(day, time(), ZoneInfo(zone)) for day in (first, end))
        query, more = (EXPORT_ORDERS, id_bounds(start, stop)) if kind is Export.ORDERS else (EXPORT_REFUNDS, ())
        return await write_csv(conn, query, start, stop, *more, output=output, force_quote=("name", "vat_number"))
