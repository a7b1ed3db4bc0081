"""Counts of requests, notices, refunds and disputes that an operator must look into."""

from typing import NamedTuple

from mercato_server.database.pool import Pool

# Each part reads an index of what is open only, so that it costs as much as there is to look into.
GET_ALERTS = """
SELECT requests.count AS unsettled_requests, coalesce(extract(epoch FROM now() - requests.oldest), 0)::float8 AS oldest_request_s,
       notices.count AS unapplied_events, coalesce(extract(epoch FROM now() - notices.oldest), 0)::float8 AS oldest_event_s,
       (SELECT count(*) FROM provider_events WHERE quarantined_at IS NOT NULL AND resolved_at IS NULL) AS quarantined_events,
       (SELECT count(*) FROM refunds WHERE state = 'failed' AND updated_at > now() - interval '7 days') AS failed_refunds,
       (SELECT count(*) FROM disputes WHERE state = 'open') AS open_disputes,
       (SELECT count(*)
          FROM payments AS payment
          JOIN orders AS placed ON placed.id = payment.order_id
         WHERE payment.state = 'processing' AND placed.status = 'placed' AND placed.payment_due_at < now()) AS held_orders
  FROM (SELECT count(*) AS count, min(created_at) AS oldest FROM provider_requests WHERE outcome IS NULL) AS requests,
       (SELECT count(*) AS count, min(received_at) AS oldest
          FROM provider_events
         WHERE applied_at IS NULL AND quarantined_at IS NULL) AS notices
"""


class PaymentAlerts(NamedTuple):
    """Counts over the whole shop, and the ages of the oldest, 0 if there is none."""

    unsettled_requests: int
    """Requests to providers whose outcome is not known yet."""
    oldest_request_s: float
    unapplied_events: int
    """Notices of providers that were neither applied nor quarantined yet."""
    oldest_event_s: float
    quarantined_events: int
    """Notices that do not fit a payment, and that no administrator has resolved."""
    failed_refunds: int
    """Refunds that have failed within 7 days: the shop still has the money."""
    open_disputes: int
    held_orders: int
    """Orders whose time to pay has passed, held by a payment whose money is under way."""


async def read(pool: "Pool") -> PaymentAlerts:
    """Count what is to be looked into, by one statement."""
    [row] = await pool.fetch(GET_ALERTS)
    return PaymentAlerts(**dict(row))
