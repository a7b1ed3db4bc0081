"""The metrics of a worker's calls and statements for Prometheus."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mercato_server.database.work import Tally
from mercato_server.rpc.call_counts import BOUNDS_S
from mercato_server.rpc.calls import CallsInFlight

BUCKETS = [*map(floatToGoString, BOUNDS_S), "+Inf"]


class CallMetrics(Collector):
    """The calls of one worker, and the statements of its pools."""

    def __init__(self, calls: CallsInFlight, tallies: Sequence[Tally]) -> None:
        self._calls = calls
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        """Yield the current counts. A histogram appears with its first call."""
        counts = self._calls.counts
        durations = HistogramMetricFamily(
            "mercato_rpc_duration_seconds",
            "Time of a call in the worker, from its start until its answer; also of calls from memory, shed, or cancelled.",
            labels=["method", "code"],
        )
        for labels, histogram in list(counts.durations.items()):
            cumulative = accumulate(list(histogram.counts))
            durations.add_metric(labels, list(zip(BUCKETS, map(float, cumulative), strict=True)), histogram.total_s)
        cached = CounterMetricFamily("mercato_rpc_cached_calls", "Calls that were answered from memory.", labels=["method"])
        for path, count in list(counts.cached.items()):
            cached.add_metric([path], count)
        shed = CounterMetricFamily("mercato_rpc_shed_calls", "Calls that were refused for the number in flight.", labels=["reason"])
        for reason, count in list(counts.shed.items()):
            shed.add_metric([reason], count)
        yield from (durations, cached, shed)
        yield GaugeMetricFamily("mercato_rpc_in_flight", "Calls that run now.", value=self._calls.in_flight)
        yield from self._of_statements()

    def _of_statements(self) -> Iterator[Metric]:
        statements = CounterMetricFamily(
            "mercato_database_statements", "Statements to PostgreSQL; those of a batch count once.", labels=["source"]
        )
        seconds = CounterMetricFamily(
            "mercato_database_statement_seconds", "Time from sending a statement to its answer, over all statements.", labels=["source"]
        )
        for source in ("calls", "background"):
            works = [getattr(tally, source) for tally in self._tallies]
            statements.add_metric([source], sum(work.statements for work in works))
            seconds.add_metric([source], sum(work.statement_s for work in works))
        yield from (statements, seconds)
