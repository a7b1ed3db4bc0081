"""The metrics of a worker for Prometheus: counters of its parts, which are read at each scrape."""

from collections.abc import Iterator, Sequence
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mercato_server.background.supervisor import Supervisor
from mercato_server.cache.catalog_cache import CatalogCache
from mercato_server.database.batching import Coalescers
from mercato_server.feed.consumers import Follower
from mercato_server.feed.listener import Listener


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


def start(address: tuple[str, int], metrics: WorkerMetrics) -> WSGIServer:
    """Answer GET /metrics from a separate thread until `stop`; raises OSError if the address cannot be bound."""
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    host, port = address
    server, _thread = start_http_server(port, host, registry)
    return server


def stop(server: WSGIServer) -> None:
    """Stop the server; returns within half a second."""
    server.shutdown()
    server.server_close()
