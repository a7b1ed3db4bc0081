"""The metrics of a worker for Prometheus: counters of its parts, which are read at each scrape."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from mercato_server.background.supervisor import Supervisor
from mercato_server.cache.catalog_cache import CatalogCache
from mercato_server.database.batching import BATCH_SIZES, Coalescers
from mercato_server.database.pool import Pool
from mercato_server.feed.consumers import Follower
from mercato_server.feed.listener import Listener
from mercato_server.security.hasher import PasswordHasher


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
        waiting = GaugeMetricFamily("mercato_batch_queue_length", "Calls that wait for a shared transaction or statement.", labels=["kind"])
        sizes = HistogramMetricFamily("mercato_batch_size", "Calls by shared transaction or statement.", labels=["kind"])
        for kind, coalescer in self._coalescers.items():
            batches.add_metric([kind], coalescer.batches)
            calls.add_metric([kind], coalescer.calls)
            waiting.add_metric([kind], coalescer.waiting)
            counts = itertools.accumulate(coalescer.sizes)
            buckets = [(f"{size}.0", count) for size, count in zip(BATCH_SIZES, counts, strict=True)]
            sizes.add_metric([kind], buckets=[*buckets, ("+Inf", buckets[-1][1])], sum_value=coalescer.calls)
        yield from (batches, calls, waiting, sizes)

    def _of_tasks(self) -> Metric:
        failures = CounterMetricFamily("mercato_task_failures", "How often a background task has died.", labels=["task"])
        for name, count in self._supervisor.failures.items():
            failures.add_metric([name], count)
        return failures


class PoolMetrics(Collector):
    """The queues for connections of the database, and for the hash process."""

    def __init__(self, pools: Mapping[str, Pool], passwords: PasswordHasher) -> None:
        self._pools = pools
        self._passwords = passwords

    def collect(self) -> Iterator[Metric]:
        """Yield the current counts."""
        connections = GaugeMetricFamily(
            "mercato_pool_connections", "Connections of a pool to the database: idle, busy, or not yet opened.", labels=["pool", "state"]
        )
        waiting = GaugeMetricFamily("mercato_pool_waiting_acquires", "Callers that wait for a connection of a pool.", labels=["pool"])
        seconds = SummaryMetricFamily("mercato_pool_acquire_seconds", "Waits for a connection of a pool.", labels=["pool"])
        for name, pool in self._pools.items():
            size, idle = pool.get_size(), pool.get_idle_size()
            for state, count in (("idle", idle), ("busy", size - idle), ("unopened", pool.get_max_size() - size)):
                connections.add_metric([name, state], count)
            waiting.add_metric([name], pool.acquiring)
            seconds.add_metric([name], count_value=pool.acquired, sum_value=pool.acquiring_s)
        yield from (connections, waiting, seconds)
        yield GaugeMetricFamily(
            "mercato_password_places",
            "Calls that have, or ask for, a place in the queue of the hash process.",
            value=self._passwords.places,
        )
