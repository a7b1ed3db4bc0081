"""The counts of calls: how long they took by RPC and code, how many were answered from memory, and how many were shed."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

from grpc import StatusCode

from mercato_server.domain.errors import Overloaded, TooManyCalls

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of a histogram; the last bucket has none."""

Observe = Callable[[StatusCode, float], None]
"""Counts a call that has ended so, and took so many seconds."""


class Histogram:
    """Durations, counted by bucket."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, took_s: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS_S, took_s)] += 1
        self.total_s += took_s


class CallCounts:
    """The counts of one worker. They are plain numbers that only its event loop writes, so another thread may read them at any moment."""

    def __init__(self) -> None:
        self.durations: dict[tuple[str, str], Histogram] = {}
        """By the path of the RPC and the name of the code; also of calls that were answered from memory, or shed."""
        self.cached: Counter[str] = Counter()
        """Calls that were answered from memory, by the path of the RPC."""
        self.shed: Counter[str] = Counter({Overloaded.reason: 0, TooManyCalls.reason: 0})
        """Calls that were refused for the number of those in flight, by the reason of the error."""

    def of(self, path: str) -> Observe:
        """Return the function that counts the calls of an RPC."""
        ok: list[Histogram] = []

        def observe(code: StatusCode, took_s: float) -> None:
            if code is StatusCode.OK and ok:
                ok[0].add(took_s)
                return
            histogram = self.durations.setdefault((path, code.name), Histogram())
            histogram.add(took_s)
            if code is StatusCode.OK:
                ok.append(histogram)

        return observe
