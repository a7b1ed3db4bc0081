"""The invariants of units: shipped, returned and cancelled ones. The queries are for store/invariants.py."""

# Units of a line are those of its shipments and returns, and what was refunded for them is what its refunds say.
WRONG_UNITS = """
SELECT coalesce(line.order_id, moved.order_id) AS order_id, coalesce(line.product_id, moved.product_id) AS product_id,
       line.shipped, moved.shipped AS sent, line.delivered, moved.delivered AS arrived, line.returned, moved.returned AS came_back,
       line.refunded_minor, moved.refunded_minor AS refunds_minor
  FROM (SELECT order_id, product_id, shipped, delivered, returned, refunded_minor
          FROM order_items
         WHERE ($1::uuid[] IS NULL OR order_id = ANY($1))
           AND (shipped > 0 OR delivered > 0 OR returned > 0 OR refunded_minor > 0)) AS line
  FULL JOIN (SELECT order_id, product_id, sum(shipped) AS shipped, sum(delivered) AS delivered, sum(returned) AS returned,
                    coalesce(sum(refunded_minor) FILTER (WHERE refunded_minor > 0), 0) AS refunded_minor
               FROM (SELECT order_id, product_id, quantity AS shipped, CASE state WHEN 'delivered' THEN quantity ELSE 0 END AS delivered,
                            0 AS returned, 0 AS refunded_minor
                       FROM shipments
                       JOIN shipment_items ON shipment_id = id
                      WHERE state IN ('shipped', 'delivered') AND ($1 IS NULL OR order_id = ANY($1))
                      UNION ALL
                     SELECT order_id, product_id, 0, 0, quantity, 0
                       FROM returns
                       JOIN return_items ON return_id = id
                      WHERE $1 IS NULL OR order_id = ANY($1)
                      UNION ALL
                     SELECT order_id, product_id, 0, 0, 0, line.amount_minor
                       FROM refunds
                       JOIN refund_lines AS line ON refund_id = id
                      WHERE state <> 'failed' AND line.amount_minor > 0 AND ($1 IS NULL OR order_id = ANY($1))) AS step
              GROUP BY order_id, product_id) AS moved ON moved.order_id = line.order_id AND moved.product_id = line.product_id
 WHERE (line.shipped, line.delivered, line.returned, line.refunded_minor)
       IS DISTINCT FROM (moved.shipped, moved.delivered, moved.returned, moved.refunded_minor)
"""

WRONG_PARCELS = """
SELECT waiting.order_id, waiting.product_id, waiting.units AS waiting, line.quantity - line.shipped - line.cancelled AS unshipped
  FROM (SELECT order_id, product_id, sum(quantity) AS units
          FROM shipments
          JOIN shipment_items ON shipment_id = id
         WHERE state IN ('prepared', 'capturing') AND ($1::uuid[] IS NULL OR order_id = ANY($1))
         GROUP BY order_id, product_id) AS waiting
  LEFT JOIN order_items AS line ON line.order_id = waiting.order_id AND line.product_id = waiting.product_id
 WHERE line.order_id IS NULL OR waiting.units > line.quantity - line.shipped - line.cancelled
"""

# An order that the release before has cancelled counts no cancelled units: all of its units were put back.
WRONG_RESTOCKS = """
SELECT coalesce(line.order_id, restock.order_id) AS order_id, coalesce(line.product_id, restock.product_id) AS product_id,
       coalesce(line.kind, restock.kind) AS kind, line.units, restock.units AS restocked
  FROM (SELECT order_id, product_id, 'cancel' AS kind, max(units) AS units
          FROM (SELECT order_id, product_id, cancelled AS units
                  FROM order_items
                 WHERE cancelled > 0 AND ($1::uuid[] IS NULL OR order_id = ANY($1))
                 UNION ALL
                SELECT item.order_id, item.product_id, item.quantity
                  FROM orders AS placed
                  JOIN order_items AS item ON item.order_id = placed.id
                 WHERE placed.status = 'cancelled' AND placed.booked_version IS DISTINCT FROM placed.version
                   AND ($1 IS NULL OR placed.id = ANY($1))) AS cancelled
         GROUP BY order_id, product_id
         UNION ALL
        SELECT order_id, product_id, 'return', sum(quantity)
          FROM returns
          JOIN return_items ON return_id = id
         WHERE restocked AND ($1 IS NULL OR order_id = ANY($1))
         GROUP BY order_id, product_id) AS line
  FULL JOIN (SELECT order_id, product_id, kind, sum(delta) AS units
               FROM stock_ledger
              WHERE kind IN ('cancel', 'return') AND order_id IS NOT NULL AND ($1 IS NULL OR order_id = ANY($1))
              GROUP BY order_id, product_id, kind) AS restock
    ON restock.order_id = line.order_id AND restock.product_id = line.product_id AND restock.kind = line.kind
 WHERE restock.units IS DISTINCT FROM line.units
"""
