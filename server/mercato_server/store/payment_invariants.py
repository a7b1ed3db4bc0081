"""The invariants of payments and refunds, as queries for store/invariants.py. They state domain/payments.py again, in SQL with numeric."""

# The amounts of a payment are the sums of its ledger, its reservation is that of its refunds, and its state fits them.
WRONG_PAYMENTS = """
SELECT payment.id AS payment_id, payment.order_id, payment.state, payment.amount_minor, payment.authorized_minor,
       payment.captured_minor, payment.refunded_minor, payment.disputed_minor, payment.lost_minor, payment.refunding_minor,
       booked.authorized_minor AS booked_authorized_minor, booked.captured_minor AS booked_captured_minor,
       booked.refunded_minor AS booked_refunded_minor, booked.disputed_minor AS booked_disputed_minor,
       booked.lost_minor AS booked_lost_minor, coalesce(reserved.amount_minor, 0) AS reserved_minor
  FROM payments AS payment
  LEFT JOIN (SELECT payment_id,
                    sum(CASE kind WHEN 'authorized' THEN amount_minor ELSE -amount_minor END)
                    FILTER (WHERE kind IN ('authorized', 'voided')) AS authorized_minor,
                    sum(amount_minor) FILTER (WHERE kind = 'captured') AS captured_minor,
                    sum(CASE kind WHEN 'refunded' THEN amount_minor ELSE -amount_minor END)
                    FILTER (WHERE kind IN ('refunded', 'refund_failed')) AS refunded_minor,
                    sum(CASE kind WHEN 'disputed' THEN amount_minor ELSE -amount_minor END)
                    FILTER (WHERE kind IN ('disputed', 'dispute_won', 'dispute_lost')) AS disputed_minor,
                    sum(CASE kind WHEN 'dispute_lost' THEN amount_minor ELSE -amount_minor END)
                    FILTER (WHERE kind IN ('dispute_lost', 'dispute_appealed')) AS lost_minor,
                    bool_or(currency_code NOT IN (SELECT currency_code FROM shop)) AS is_foreign
               FROM payment_ledger
              WHERE $1::uuid[] IS NULL OR payment_id IN (SELECT id FROM payments WHERE order_id = ANY($1))
              GROUP BY payment_id) AS booked ON booked.payment_id = payment.id
  LEFT JOIN (SELECT payment_id, sum(amount_minor) AS amount_minor
               FROM refunds
              WHERE is_own AND state IN ('requested', 'pending') AND ($1 IS NULL OR order_id = ANY($1))
              GROUP BY payment_id) AS reserved ON reserved.payment_id = payment.id
 WHERE ($1 IS NULL OR payment.order_id = ANY($1))
   AND (payment.authorized_minor <> coalesce(booked.authorized_minor, 0)
        OR payment.captured_minor <> coalesce(booked.captured_minor, 0)
        OR payment.refunded_minor <> coalesce(booked.refunded_minor, 0)
        OR payment.disputed_minor <> coalesce(booked.disputed_minor, 0)
        OR payment.lost_minor <> coalesce(booked.lost_minor, 0)
        OR payment.refunding_minor <> coalesce(reserved.amount_minor, 0)
        OR payment.captured_minor > payment.amount_minor
        OR payment.currency_code NOT IN (SELECT currency_code FROM shop)
        OR booked.is_foreign
        OR CASE payment.state
           WHEN 'captured' THEN payment.captured_minor = 0
           WHEN 'authorized' THEN payment.authorized_minor = 0
           WHEN 'pending' THEN payment.authorized_minor + payment.captured_minor > 0
           WHEN 'processing' THEN payment.authorized_minor + payment.captured_minor > 0
           ELSE false
           END)
"""

# A movement that takes back another one follows that one, with its reference, and takes back no more than it has moved.
WRONG_MOVEMENTS = """
SELECT movement.payment_id, movement.kind, movement.provider_ref, movement.amount_minor, earlier.kind AS earlier, earlier.amount_minor
       AS earlier_minor
  FROM payment_ledger AS movement
  JOIN payments AS payment ON payment.id = movement.payment_id
  LEFT JOIN payment_ledger AS earlier
    ON earlier.payment_id = movement.payment_id AND earlier.provider_ref = movement.provider_ref
   AND earlier.kind = CASE movement.kind
                      WHEN 'voided' THEN 'authorized'
                      WHEN 'refund_failed' THEN 'refunded'
                      WHEN 'dispute_appealed' THEN 'dispute_lost'
                      ELSE 'disputed'
                      END
 WHERE movement.kind IN ('voided', 'refund_failed', 'dispute_won', 'dispute_lost', 'dispute_appealed')
   AND ($1::uuid[] IS NULL OR payment.order_id = ANY($1))
   AND (earlier.payment_id IS NULL OR movement.amount_minor > earlier.amount_minor)
"""

REPEATED_PAYMENTS = """
SELECT order_id, count(*) AS live_payments
  FROM payments
 WHERE state NOT IN ('cancelled', 'expired') AND ($1::uuid[] IS NULL OR order_id = ANY($1))
 GROUP BY order_id
HAVING count(*) > 1
"""

WRONG_REFUNDS = """
SELECT payment.id AS payment_id, payment.order_id, payment.captured_minor, payment.refunded_minor, made.succeeded_minor, made.own_minor,
       made.exceeds
  FROM payments AS payment
  LEFT JOIN (SELECT refund.payment_id, sum(refund.amount_minor) FILTER (WHERE refund.state = 'succeeded') AS succeeded_minor,
                    sum(refund.amount_minor) FILTER (WHERE is_own AND refund.state <> 'failed') AS own_minor,
                    bool_or(lines.amount_minor > refund.amount_minor) AS exceeds, bool_or(refund.order_id <> paid.order_id) AS is_foreign
               FROM refunds AS refund
               JOIN payments AS paid ON paid.id = refund.payment_id
               LEFT JOIN (SELECT refund_id, sum(line.amount_minor) AS amount_minor
                            FROM refunds
                            JOIN refund_lines AS line ON refund_id = id
                           WHERE $1::uuid[] IS NULL OR order_id = ANY($1)
                           GROUP BY refund_id) AS lines ON lines.refund_id = refund.id
              WHERE $1 IS NULL OR paid.order_id = ANY($1)
              GROUP BY refund.payment_id) AS made ON made.payment_id = payment.id
 WHERE ($1 IS NULL OR payment.order_id = ANY($1))
   AND (payment.refunded_minor <> coalesce(made.succeeded_minor, 0)
        OR made.own_minor > payment.captured_minor
        OR made.exceeds
        OR made.is_foreign)
"""

# A cancelled order keeps no money: each payment was given back, is on its way back, or is disputed or lost. A refund that has failed is an
# alert until an administrator has paid it back in another way.
KEPT_MONEY = """
SELECT placed.id AS order_id, sum(kept.amount_minor) AS kept_minor
  FROM orders AS placed
  JOIN payments AS payment ON payment.order_id = placed.id
 CROSS JOIN LATERAL (SELECT captured_minor - refunded_minor - refunding_minor - lost_minor - disputed_minor AS amount_minor) AS kept
 WHERE placed.status = 'cancelled' AND placed.booked_version = placed.version AND kept.amount_minor > 0
   AND ($1::uuid[] IS NULL OR placed.id = ANY($1))
   AND NOT EXISTS (SELECT FROM refunds WHERE order_id = placed.id AND state = 'failed')
 GROUP BY placed.id
"""

# After a restore they wait until payments go on.
LATE_REQUESTS = """
SELECT id AS request_id, payment_id, kind, attempt, tries, code, created_at
  FROM provider_requests
 WHERE outcome IS NULL AND created_at < now() - interval '1 hour'
   AND coalesce((SELECT payments_paused_at IS NULL AND coalesce(payments_resumed_at < now() - interval '1 hour', true)
                   FROM database_origin), true)
"""

# Only the answer to a request moves on a payment that the provider does not know yet, a refund, and a shipment that waits for a capture. An
# answer that does not fit the payment was quarantined.
FORGOTTEN_REQUESTS = """
SELECT payment.id AS subject_id, 'create' AS kind, payment.order_id
  FROM payments AS payment
 WHERE provider_ref IS NULL AND state IN ('pending', 'processing', 'authorized') AND ($1::uuid[] IS NULL OR payment.order_id = ANY($1))
   AND NOT EXISTS (SELECT
                     FROM provider_requests AS request
                    WHERE request.payment_id = payment.id AND request.kind = 'create'
                      AND (request.outcome IS NULL OR request.code = 'mismatch'))
 UNION ALL
SELECT refund.id, 'refund', refund.order_id
  FROM refunds AS refund
 WHERE state = 'requested' AND ($1 IS NULL OR refund.order_id = ANY($1))
   AND NOT EXISTS (SELECT
                     FROM provider_requests AS request
                    WHERE request.payment_id = refund.payment_id AND request.refund_id = refund.id
                      AND (request.outcome IS NULL OR request.code = 'mismatch'))
 UNION ALL
SELECT shipment.id, 'capture', shipment.order_id
  FROM shipments AS shipment
 WHERE state = 'capturing' AND ($1 IS NULL OR shipment.order_id = ANY($1))
   AND NOT EXISTS (SELECT
                     FROM payments AS payment
                     JOIN provider_requests AS request ON request.payment_id = payment.id
                    WHERE payment.order_id = shipment.order_id AND request.kind = 'capture'
                      AND (request.outcome IS NULL OR request.code = 'mismatch'))
"""

LATE_EVENTS = """
SELECT provider, event_id, kind, provider_ref, tries, failure, received_at
  FROM provider_events
 WHERE applied_at IS NULL AND quarantined_at IS NULL AND received_at < now() - interval '1 hour'
"""

# The keys of these calls store the id of their payment or refund in place of the answer, because a replay shows it as it is now.
_NAMED = """
SELECT named.scope_id, named.key, named.method, named.subject_id
  FROM (SELECT scope_id, key, method,
               CASE WHEN encode(response, 'escape') ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                    THEN encode(response, 'escape')::uuid
                    END AS subject_id
"""
_UNRESOLVED = """
         WHERE method = ANY (ARRAY['/mercato.v1.PaymentService/CreatePayment', '/mercato.v1.PaymentService/CapturePayment',
                                   '/mercato.v1.PaymentService/CancelPayment', '/mercato.v1.PaymentService/CreateRefund'])
           AND response IS NOT NULL) AS named
  LEFT JOIN payments AS payment ON payment.id = named.subject_id AND named.method <> '/mercato.v1.PaymentService/CreateRefund'
  LEFT JOIN refunds AS refund ON refund.id = named.subject_id AND named.method = '/mercato.v1.PaymentService/CreateRefund'
 WHERE payment.id IS NULL AND refund.id IS NULL
"""
WRONG_REFERENCES = _NAMED + "          FROM idempotency_keys" + _UNRESOLVED
WRONG_RECENT_REFERENCES = (
    _NAMED
    + """          FROM unnest($1::uuid[], $2::text[]) AS touched (scope_id, key)
          JOIN idempotency_keys USING (scope_id, key)"""
    + _UNRESOLVED
)
