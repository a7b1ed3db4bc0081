"""The metrics of trade: orders and mails of a worker, and counts over the whole shop, which each worker tells alike."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mercato_server.background.shop_watch import ShopWatch
from mercato_server.background.verification import Verification
from mercato_server.domain.errors import OutOfStock
from mercato_server.domain.order_tally import OrderTally
from mercato_server.payments.tally import Tally
from mercato_server.store.payment_alerts import PaymentAlerts
from mercato_server.store.shop_counts import QueueCounts

STATES = ("queued", "running", "failed")


class TradeMetrics(Collector):
    """The orders, changes, refusals and mails of one worker."""

    def __init__(
        self, orders: OrderTally, currency: str, refused: Mapping[str, int], changes: Mapping[str, int], mails: Mapping[str, int]
    ) -> None:
        """`refused` has calls by reason, `changes` subjects by kind of event, and `mails` tries by outcome."""
        self._orders = orders
        self._currency = currency
        self._refused = refused
        self._changes = changes
        self._mails = mails

    def collect(self) -> Iterator[Metric]:
        """Yield the current counts."""
        yield CounterMetricFamily("mercato_orders_placed", "Orders that this worker has placed.", value=self._orders.orders)
        yield CounterMetricFamily("mercato_order_units", "Units of the orders that this worker has placed.", value=self._orders.units)
        revenue = CounterMetricFamily(
            "mercato_order_revenue_minor",
            "Totals of the orders that this worker has placed, with delivery and tax; cancellations and refunds are not taken off.",
            labels=["currency"],
        )
        revenue.add_metric([self._currency], self._orders.revenue_minor)
        yield revenue
        yield CounterMetricFamily(
            "mercato_stock_outs",
            "Calls that were refused because a product had too little stock.",
            value=self._refused.get(OutOfStock.reason, 0),
        )
        yield _counter("mercato_refused_calls", "Calls that were refused, by the reason of their error.", "reason", self._refused)
        yield _counter(
            "mercato_changes", "Products, orders and others that this worker has changed, by kind of event.", "kind", self._changes
        )
        yield _counter("mercato_mails", "Tries to send a mail: sent, deferred, or refused for good.", "outcome", self._mails)


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([value], count)
    return family


OF_THE_SHOP = {
    "unsettled_requests": ("unsettled_requests", "Requests to payment providers whose outcome is not known."),
    "oldest_request_s": (
        "oldest_request_seconds",
        "Age of the oldest request to a payment provider whose outcome is not known; 0 without one.",
    ),
    "unapplied_events": ("unapplied_events", "Notices of payment providers whose payments were not read yet."),
    "oldest_event_s": (
        "event_lag_seconds",
        "Age of the oldest notice of a payment provider whose payment was not read yet; 0 without one.",
    ),
    "quarantined_events": ("quarantined_events", "Notices that do not fit the shop's payments, which no administrator has resolved."),
    "failed_refunds": ("failed_refunds", "Refunds that have failed within a week: the shop still has the money."),
    "open_disputes": ("open_disputes", "Disputes that the provider has not decided."),
    "held_orders": ("held_orders", "Orders whose time to pay has passed while their money is under way."),
}
"""Names, without `mercato_payment_`, and texts of the gauges, by the field of PaymentAlerts."""


class PaymentMetrics(Collector):
    """The notices and requests of one worker, and the counts over the whole shop, which each worker tells alike."""

    def __init__(self, tally: Tally, watch: ShopWatch[PaymentAlerts]) -> None:
        self._tally = tally
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """Yield the current counts; those of the shop are absent until they have been read."""
        events = CounterMetricFamily("mercato_payment_events", "Notices of payment providers that this worker has got.", labels=["outcome"])
        for outcome, count in list(self._tally.events.items()):
            events.add_metric([outcome], count)
        requests = CounterMetricFamily(
            "mercato_payment_requests", "Tries of requests to payment providers by this worker.", labels=["kind", "outcome"]
        )
        for (kind, ended), count in list(self._tally.requests.items()):
            requests.add_metric([kind, ended], count)
        yield from (events, requests)
        if alerts := self._watch.counts:
            for field, (name, text) in OF_THE_SHOP.items():
                yield GaugeMetricFamily(f"mercato_payment_{name}", text, value=getattr(alerts, field))


class ShopMetrics(Collector):
    """Jobs by queue, and products without stock."""

    def __init__(self, jobs: ShopWatch[Mapping[str, QueueCounts]], stock: ShopWatch[int]) -> None:
        self._jobs = jobs
        self._stock = stock

    def collect(self) -> Iterator[Metric]:
        """Yield the counts that have been read."""
        if (queues := self._jobs.counts) is not None:
            jobs = GaugeMetricFamily(
                "mercato_jobs", "Jobs of a queue: queued, running, or held after a failure.", labels=["queue", "state"]
            )
            oldest = GaugeMetricFamily(
                "mercato_jobs_oldest_seconds", "Seconds since the oldest queued job was due; 0 without one.", labels=["queue"]
            )
            for queue, counts in queues.items():
                for state in STATES:
                    jobs.add_metric([queue, state], getattr(counts, state))
                oldest.add_metric([queue], counts.oldest_s)
            yield from (jobs, oldest)
        if (out_of_stock := self._stock.counts) is not None:
            yield GaugeMetricFamily("mercato_products_out_of_stock", "Products on sale without a unit in stock.", value=out_of_stock)


class VerifyMetrics(Collector):
    """The periodic check of the invariants, which only the worker that makes it tells."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification

    def collect(self) -> Iterator[Metric]:
        """Yield the result of the last pass, if this worker has completed one."""
        verification = self._verification
        if not verification.completed_at:
            return
        violations = GaugeMetricFamily("mercato_verify_violations", "Rows that violate an invariant.", labels=["invariant"])
        for invariant, count in list(verification.violations.items()):
            violations.add_metric([invariant], count)
        yield violations
        yield GaugeMetricFamily("mercato_verify_completed_timestamp_seconds", "Time of the last check.", value=verification.completed_at)
        yield GaugeMetricFamily("mercato_verify_seconds", "Length of the last check.", value=verification.took_s)
