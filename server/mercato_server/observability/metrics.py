"""The metrics of a worker for Prometheus: counters of its parts, which are read at each scrape."""

from collections.abc import Iterator, Sequence
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mercato_server.background.payment_watch import PaymentWatch
from mercato_server.background.supervisor import Supervisor
from mercato_server.cache.catalog_cache import CatalogCache
from mercato_server.database.batching import Coalescers
from mercato_server.feed.consumers import Follower
from mercato_server.feed.listener import Listener
from mercato_server.payments.tally import Tally


class WorkerMetrics(Collector):
    """The counts of one worker.

    They are plain numbers that only its event loop writes, so another thread may read them at any moment.
    """

    def __init__(
        self, cache: CatalogCache, listener: Listener, followers: Sequence[Follower], coalescers: Coalescers, supervisor: Supervisor
    ) -> None:
        self._cache = cache
        self._listener = listener
        self._followers = followers
        self._coalescers = coalescers
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        """Yield the current counts."""
        yield from self._of_cache()
        yield GaugeMetricFamily(
            "mercato_change_feed_age_seconds",
            "Seconds since the last poll of the change feed began; +Inf while the feed cannot be read.",
            value=self._listener.age_s,
        )
        yield from self._of_consumers()
        yield from self._of_batches()
        yield self._of_tasks()

    def _of_cache(self) -> Iterator[Metric]:
        hits = CounterMetricFamily("mercato_catalog_cache_hits", "Products and first pages that were found in memory.", labels=["kind"])
        misses = CounterMetricFamily(
            "mercato_catalog_cache_misses", "Products and first pages that were not found in memory.", labels=["kind"]
        )
        entries = GaugeMetricFamily("mercato_catalog_cache_entries", "Products and first pages in memory.", labels=["kind"])
        tallies = (self._cache.products_read, self._cache.pages_read)
        for kind, tally, size in zip(("product", "page"), tallies, self._cache.sizes, strict=True):
            hits.add_metric([kind], tally.hits)
            misses.add_metric([kind], tally.misses)
            entries.add_metric([kind], size)
        yield from (hits, misses, entries)

    def _of_consumers(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "mercato_feed_lag_seconds",
            "Age of the oldest event that a consumer of the change feed has not handled or cannot see yet; +Inf before its first poll.",
            labels=["consumer"],
        )
        quarantined = GaugeMetricFamily(
            "mercato_feed_quarantined_events", "Events in quarantine that a consumer could not handle.", labels=["consumer"]
        )
        gaps = CounterMetricFamily(
            "mercato_feed_gaps", "How often a lost consumer, which may have missed events, has resumed.", labels=["consumer"]
        )
        for follower in self._followers:
            name = [follower.consumer.name.value]
            lag.add_metric(name, follower.lag.seconds)
            quarantined.add_metric(name, follower.quarantined)
            gaps.add_metric(name, follower.gaps)
        yield from (lag, quarantined, gaps)

    def _of_batches(self) -> Iterator[Metric]:
        batches = CounterMetricFamily("mercato_batches", "Transactions, or statements, that concurrent calls shared.", labels=["kind"])
        calls = CounterMetricFamily(
            "mercato_batched_calls", "Calls that were served by shared transactions or statements.", labels=["kind"]
        )
        for kind, coalescer in self._coalescers.items():
            batches.add_metric([kind], coalescer.batches)
            calls.add_metric([kind], coalescer.calls)
        yield from (batches, calls)

    def _of_tasks(self) -> Metric:
        failures = CounterMetricFamily("mercato_task_failures", "How often a background task has died.", labels=["task"])
        for name, count in self._supervisor.failures.items():
            failures.add_metric([name], count)
        return failures


OF_THE_SHOP = {
    "unsettled_requests": ("unsettled_requests", "Requests to payment providers whose outcome is not known."),
    "oldest_request_s": ("oldest_request_seconds", "Age of the oldest of these requests; 0 without one."),
    "unapplied_events": ("unapplied_events", "Notices of payment providers whose payments were not read yet."),
    "oldest_event_s": ("event_lag_seconds", "Age of the oldest of these notices; 0 without one."),
    "quarantined_events": ("quarantined_events", "Notices that do not fit the shop's payments, which no administrator has resolved."),
    "failed_refunds": ("failed_refunds", "Refunds that have failed within a week: the shop still has the money."),
    "open_disputes": ("open_disputes", "Disputes that the provider has not decided."),
    "held_orders": ("held_orders", "Orders whose time to pay has passed while their money is under way."),
}
"""Names, without `mercato_payment_`, and texts of the gauges, by the field of PaymentAlerts."""


class PaymentMetrics(Collector):
    """The notices and requests of one worker, and the counts over the whole shop, which each worker tells alike."""

    def __init__(self, tally: Tally, watch: PaymentWatch) -> None:
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
        if alerts := self._watch.alerts:
            for field, (name, text) in OF_THE_SHOP.items():
                yield GaugeMetricFamily(f"mercato_payment_{name}", text, value=getattr(alerts, field))


def start(address: tuple[str, int], *collectors: Collector) -> WSGIServer:
    """Answer GET /metrics from a separate thread until `stop`; raises OSError if the address cannot be bound."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    host, port = address
    server, _thread = start_http_server(port, host, registry)
    return server


def stop(server: WSGIServer) -> None:
    """Stop the server; returns within half a second."""
    server.shutdown()
    server.server_close()
