"""The invariants of orders and their statuses, as queries for store/invariants.py. They state domain/order_statuses.py again, in SQL."""

WRONG_SALES = """
SELECT coalesce(line.order_id, sale.order_id) AS order_id, coalesce(line.product_id, sale.product_id) AS product_id,
       line.quantity AS ordered, -sale.units AS sold
  FROM (SELECT order_id, product_id, quantity
          FROM order_items
         WHERE $1::uuid[] IS NULL OR order_id = ANY($1)) AS line
  FULL JOIN (SELECT order_id, product_id, sum(delta) AS units
               FROM stock_ledger
              WHERE kind = 'sale' AND order_id IS NOT NULL AND ($1 IS NULL OR order_id = ANY($1))
              GROUP BY order_id, product_id) AS sale ON sale.order_id = line.order_id AND sale.product_id = line.product_id
 WHERE sale.units IS DISTINCT FROM -line.quantity
"""

# Changes of money and units raise the version too, and write no step. An order that only the release before has changed has a step for
# each version. Nearly all paths are among those that enter no state twice, so few are taken apart.
WRONG_STATES = """
SELECT coalesce(placed.id, history.order_id) AS order_id, placed.status, placed.version, history.path
  FROM (SELECT id, status, version, booked_version
          FROM orders
         WHERE $1::uuid[] IS NULL OR id = ANY($1)) AS placed
  FULL JOIN (SELECT order_id, count(*) AS steps, min(version) AS first, max(version) AS last,
                    string_agg(status, '>' ORDER BY version) AS path
               FROM order_history
              WHERE $1 IS NULL OR order_id = ANY($1)
              GROUP BY order_id) AS history ON history.order_id = placed.id
 WHERE placed.id IS NULL
    OR history.path IS NULL
    OR placed.status <> right(history.path, length(placed.status))
    OR history.first <> 1
    OR placed.version < history.last
    OR (placed.booked_version IS NULL AND (placed.version <> history.last OR placed.version <> history.steps))
    OR (history.path <> ALL ($2::text[])
        AND EXISTS (SELECT
                      FROM (SELECT lag(status, 1, '') OVER (ORDER BY place) || '>' || status AS step
                              FROM unnest(string_to_array(history.path, '>')) WITH ORDINALITY AS walked (status, place)) AS walk
                     WHERE step <> ALL ($3::text[])))
"""

# A worker cancels an order once it is overdue, and within a minute or so, or once its authorised payment has lapsed. A live payment may
# hold an overdue order, because its money may still come. While payments are paused after a restore, no order ends.
WRONG_EXPIRIES = """
SELECT placed.id AS order_id, placed.status, placed.payment_due_at, step.created_at AS cancelled_at
  FROM orders AS placed
  LEFT JOIN order_history AS step ON step.order_id = placed.id AND step.status = 'cancelled' AND step.actor_kind = 'system'
 WHERE ($1::uuid[] IS NULL OR placed.id = ANY($1))
   AND CASE
       WHEN step.order_id IS NULL AND placed.status = 'placed' AND placed.payment_due_at < now() - interval '1 hour'
            AND NOT coalesce((SELECT payments_paused_at IS NOT NULL FROM database_origin), false)
       THEN placed.payment_due_at < now() - interval '1 day'
            OR NOT EXISTS (SELECT FROM payments WHERE order_id = placed.id AND state NOT IN ('cancelled', 'expired'))
       WHEN step.reason = 'the authorised payment has lapsed'
       THEN NOT EXISTS (SELECT
                          FROM payments AS payment
                          JOIN payment_ledger AS movement ON movement.payment_id = payment.id
                         WHERE payment.order_id = placed.id AND movement.kind = 'voided')
       ELSE step.order_id IS NOT NULL AND (placed.payment_due_at IS NULL OR placed.payment_due_at > step.created_at)
       END
"""

# The three statuses follow from money and units, in each order that this release was the last to change. An order that it has never
# changed has no payment and no shipment. The order is worth its total less the share of cancelled units: rounded down to an amount that
# the currency can send, and all of it once no unit is left.
WRONG_STATUSES = """
WITH units AS (
    SELECT order_id, sum(quantity) - sum(cancelled) AS remaining, sum(shipped) AS shipped, sum(delivered) AS delivered,
           sum(cancelled) AS cancelled, sum(returned) AS returned
      FROM order_items
     WHERE $1::uuid[] IS NULL OR order_id = ANY($1)
     GROUP BY order_id
), money AS (
    SELECT order_id, sum(authorized_minor) FILTER (WHERE authorized_minor > 0) AS held, sum(captured_minor) AS taken,
           sum(refunded_minor + lost_minor) FILTER (WHERE refunded_minor + lost_minor > 0) AS returned,
           bool_or(state = 'processing') AS is_processing
      FROM payments
     WHERE $1 IS NULL OR order_id = ANY($1)
     GROUP BY order_id
), share AS (
    SELECT placed.id AS order_id, div(sum(CASE WHEN cancelled = quantity THEN cost_minor
                                               ELSE div(cost_minor * cancelled, quantity * step) * step END), step) * step AS amount_minor
      FROM order_items AS item
      JOIN orders AS placed ON placed.id = item.order_id
     CROSS JOIN LATERAL (SELECT (quantity * unit_price_minor - coalesce(discount_minor + relief_minor, 0)
                                 + CASE WHEN prices_include_tax THEN 0 ELSE coalesce(tax_minor, 0) END)::numeric AS cost_minor) AS cost
     CROSS JOIN LATERAL (SELECT CASE
                                WHEN placed.currency_code IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 10
                                WHEN placed.currency_code = 'MGA' THEN 100
                                ELSE 1
                                END AS step) AS sendable
     WHERE cancelled > 0 AND ($1 IS NULL OR placed.id = ANY($1))
     GROUP BY placed.id, step
)
SELECT placed.id AS order_id, placed.status, follows.status AS right_status, placed.payment_status,
       follows.payment_status AS right_payment_status, placed.fulfillment_status, follows.fulfillment_status AS right_fulfillment_status
  FROM orders AS placed
  JOIN units ON units.order_id = placed.id
  LEFT JOIN money ON money.order_id = placed.id
  LEFT JOIN share ON share.order_id = placed.id
 CROSS JOIN LATERAL (SELECT coalesce(held, 0) AS held, coalesce(taken, 0) AS taken, coalesce(money.returned, 0) AS returned,
                            CASE remaining WHEN 0 THEN 0 ELSE total_minor - coalesce(share.amount_minor, 0) END AS owed) AS amount
 CROSS JOIN LATERAL (SELECT CASE
                            WHEN remaining = 0 THEN 'cancelled'
                            WHEN amount.taken > 0 AND amount.returned >= amount.taken THEN 'refunded'
                            WHEN delivered = remaining THEN 'delivered'
                            WHEN shipped = remaining THEN 'shipped'
                            WHEN amount.held + amount.taken >= owed THEN 'paid'
                            ELSE 'placed'
                            END AS status,
                            CASE
                            WHEN amount.taken > 0 AND amount.returned >= amount.taken THEN 'refunded'
                            WHEN amount.taken > 0 AND amount.taken - amount.returned > owed THEN 'refund_due'
                            WHEN amount.taken > 0 AND amount.returned > 0 AND amount.taken - amount.returned < owed
                            THEN 'partially_refunded'
                            WHEN amount.taken > 0 AND amount.taken < owed THEN 'partially_paid'
                            WHEN amount.taken > 0 THEN 'paid'
                            WHEN amount.held > 0 THEN 'authorized'
                            WHEN is_processing THEN 'processing'
                            WHEN owed > 0 THEN 'unpaid'
                            WHEN cancelled > 0 THEN 'voided'
                            ELSE 'paid'
                            END AS payment_status,
                            CASE
                            WHEN remaining = 0 THEN 'cancelled'
                            WHEN units.returned > 0 THEN CASE units.returned WHEN remaining THEN 'returned' ELSE 'partially_returned' END
                            WHEN delivered > 0 THEN CASE delivered WHEN remaining THEN 'delivered' ELSE 'partially_delivered' END
                            WHEN shipped > 0 THEN CASE shipped WHEN remaining THEN 'shipped' ELSE 'partially_shipped' END
                            ELSE 'unfulfilled'
                            END AS fulfillment_status) AS follows
 WHERE placed.booked_version IS NOT NULL
   AND ($1 IS NULL OR placed.id = ANY($1))
   AND (placed.booked_version > placed.version
        OR (placed.booked_version = placed.version
            AND (placed.status, placed.payment_status, placed.fulfillment_status)
                IS DISTINCT FROM (follows.status, follows.payment_status, follows.fulfillment_status)))
 UNION ALL
SELECT placed.id, placed.status, NULL, placed.payment_status, NULL, placed.fulfillment_status, NULL
  FROM (SELECT order_id FROM payments UNION SELECT order_id FROM shipments) AS paid
  JOIN orders AS placed ON placed.id = paid.order_id
 WHERE placed.booked_version IS NULL AND ($1 IS NULL OR placed.id = ANY($1))
"""
