"""The invariants of prices. They state the rules of domain/pricing.py again, in SQL with numeric, so that a mistake there is found here."""

# The total is the sum of the lines and of the delivery, each without its discount and relief, and with its tax where prices do not
# include it.
WRONG_TOTALS = """
SELECT coalesce(placed.id, lines.order_id) AS order_id, placed.total_minor, lines.left_minor AS lines_minor, placed.delivery_minor
  FROM (SELECT id, total_minor, coalesce(prices_include_tax, true) AS included,
               coalesce(delivery_minor - delivery_discount_minor - delivery_relief_minor, 0)::numeric
               + CASE WHEN prices_include_tax THEN 0 ELSE coalesce(delivery_tax_minor, 0) END AS delivery_minor
          FROM orders
         WHERE $1::uuid[] IS NULL OR id = ANY($1)) AS placed
  FULL JOIN (SELECT order_id, sum(quantity * unit_price_minor - coalesce(discount_minor + relief_minor, 0)) AS left_minor,
                    sum(coalesce(tax_minor, 0)) AS tax_minor
               FROM order_items
              WHERE $1 IS NULL OR order_id = ANY($1)
              GROUP BY order_id) AS lines ON lines.order_id = placed.id
 WHERE placed.id IS NULL
    OR placed.total_minor IS DISTINCT FROM lines.left_minor + placed.delivery_minor + CASE WHEN included THEN 0 ELSE lines.tax_minor END
"""

# The discounts of a line, and of the delivery (whose product is the nil UUID here), are what promotions give to it.
WRONG_DISCOUNTS = """
SELECT coalesce(part.order_id, given.order_id) AS order_id, coalesce(part.product_id, given.product_id) AS product_id,
       part.discount_minor, given.amount_minor
  FROM (SELECT order_id, product_id, discount_minor
          FROM order_items
         WHERE discount_minor > 0 AND ($1::uuid[] IS NULL OR order_id = ANY($1))
         UNION ALL
        SELECT id, '00000000-0000-0000-0000-000000000000', delivery_discount_minor
          FROM orders
         WHERE delivery_discount_minor > 0 AND ($1 IS NULL OR id = ANY($1))) AS part
  FULL JOIN (SELECT order_id, coalesce(product_id, '00000000-0000-0000-0000-000000000000') AS product_id, sum(amount_minor) AS amount_minor
               FROM order_discounts
              WHERE $1 IS NULL OR order_id = ANY($1)
              GROUP BY order_id, coalesce(product_id, '00000000-0000-0000-0000-000000000000')) AS given
    ON given.order_id = part.order_id AND given.product_id = part.product_id
 WHERE part.discount_minor IS DISTINCT FROM given.amount_minor
"""

# The tax of a line is its rate of what is left of its price: rounded half up by itself, or a share of the order's tax that differs from the
# exact one by less than a minor unit. A provider's tax may differ by a minor unit and a millionth of the amount. An included tax is a part
# of the price.
WRONG_LINE_TAXES = """
SELECT item.order_id, item.product_id, item.tax_rate_ppm, item.tax_minor, item.relief_minor, exact.tax_minor AS exact_minor
  FROM order_items AS item
  JOIN orders AS placed ON placed.id = item.order_id
 CROSS JOIN LATERAL (SELECT coalesce(item.tax_rate_ppm, 0)::numeric AS ppm) AS rate
 CROSS JOIN LATERAL (SELECT (item.quantity * item.unit_price_minor - item.discount_minor)::numeric AS amount_minor) AS taxed
 CROSS JOIN LATERAL (SELECT amount_minor * ppm / (1000000 + CASE WHEN placed.prices_include_tax THEN ppm ELSE 0 END) AS tax_minor) AS exact
 WHERE item.tax_minor IS NOT NULL AND ($1::uuid[] IS NULL OR item.order_id = ANY($1))
   AND CASE placed.tax_rounding
       WHEN 'line' THEN item.tax_minor + item.relief_minor <> floor(exact.tax_minor + 0.5)
       WHEN 'provider' THEN abs(item.tax_minor + item.relief_minor - exact.tax_minor) > 1 + amount_minor / 1000000
       ELSE abs(item.tax_minor + item.relief_minor - exact.tax_minor) >= 1
       END
"""

# The taxes by rate are those of the lines and of the delivery. The tax of a rate is that of its whole amount, rounded half up; where each
# line is rounded, that holds for the delivery's part. A provider's tax of the delivery's part may differ like that of a line.
WRONG_TAXES = """
WITH rate AS MATERIALIZED (
    SELECT order_id, taxes.tax_minor, taxes.delivery_tax_minor, tax_rounding, rounded.tax_minor AS rounded_minor, amount_minor,
           rate_ppm * amount_minor / (1000000 + CASE WHEN prices_include_tax THEN rate_ppm ELSE 0 END) AS exact_minor
      FROM order_taxes AS taxes
      JOIN orders AS placed ON placed.id = order_id
     CROSS JOIN LATERAL (SELECT CASE tax_rounding WHEN 'order' THEN net_minor ELSE delivery_net_minor END AS net_minor,
                                CASE tax_rounding WHEN 'order' THEN taxes.tax_minor ELSE taxes.delivery_tax_minor END AS tax_minor)
           AS rounded
     CROSS JOIN LATERAL (SELECT (rounded.net_minor + CASE WHEN prices_include_tax THEN rounded.tax_minor ELSE 0 END)::numeric
                                AS amount_minor) AS taxed
     WHERE $1::uuid[] IS NULL OR order_id = ANY($1)
)
SELECT coalesce(borne.order_id, taxes.order_id) AS order_id, borne.tax_minor, taxes.tax_minor AS by_rate_minor
  FROM (SELECT placed.id AS order_id, lines.tax_minor, coalesce(placed.delivery_tax_minor, 0) AS delivery_minor
          FROM orders AS placed
          JOIN (SELECT order_id, sum(tax_minor) AS tax_minor
                  FROM order_items
                 WHERE tax_minor IS NOT NULL AND ($1 IS NULL OR order_id = ANY($1))
                 GROUP BY order_id) AS lines ON lines.order_id = placed.id) AS borne
  FULL JOIN (SELECT order_id, sum(tax_minor) AS tax_minor, sum(delivery_tax_minor) AS delivery_minor,
                    bool_and(CASE tax_rounding
                             WHEN 'provider' THEN abs(rounded_minor - exact_minor) <= 1 + amount_minor / 1000000
                             ELSE rounded_minor = floor(exact_minor + 0.5)
                             END) AS is_rounded
               FROM rate
              GROUP BY order_id) AS taxes ON taxes.order_id = borne.order_id
 WHERE coalesce(borne.tax_minor + borne.delivery_minor, 0) <> coalesce(taxes.tax_minor, 0)
    OR coalesce(borne.delivery_minor, 0) <> coalesce(taxes.delivery_minor, 0)
    OR NOT taxes.is_rounded
"""

# The discounts of an order are those of its redemptions; a cancelled order, and no other, has released its uses.
WRONG_REDEMPTIONS = """
SELECT coalesce(given.order_id, redeemed.order_id) AS order_id, coalesce(given.promotion_id, redeemed.promotion_id) AS promotion_id,
       given.amount_minor, redeemed.amount_minor AS redeemed_minor, redeemed.released_at
  FROM (SELECT order_id, promotion_id, sum(amount_minor) AS amount_minor
          FROM order_discounts
         WHERE $1::uuid[] IS NULL OR order_id = ANY($1)
         GROUP BY order_id, promotion_id) AS given
  FULL JOIN (SELECT order_id, promotion_id, amount_minor, released_at
               FROM promotion_redemptions
              WHERE $1 IS NULL OR order_id = ANY($1)) AS redeemed
    ON redeemed.order_id = given.order_id AND redeemed.promotion_id = given.promotion_id
  LEFT JOIN orders AS placed ON placed.id = redeemed.order_id
 WHERE given.amount_minor IS DISTINCT FROM redeemed.amount_minor
    OR (placed.status = 'cancelled') <> (redeemed.released_at IS NOT NULL)
"""
