"""Limits of requests: https://docs.stripe.com/rate-limits."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from support.stripe_double.refusals import Refusal


@dataclass
class Limits:
    """How many requests Stripe takes; None is no limit.

    A sandbox takes 25 a second; live mode takes 100 a second, and 25 of each operation. A payment intent takes 1,000 changes an hour.
    """

    total_per_s: int | None = None
    operation_per_s: int | None = None
    changes_per_hour: int | None = 1_000
    _times: dict[str, deque[float]] = field(default_factory=dict)

    def check(self, operation: str, intent: str | None, now: Callable[[], float]) -> None:
        """Count a request; refuse it with 429 if it is too many."""
        for name, limit, period_s in (
            ("total", self.total_per_s, 1.0),
            (operation, self.operation_per_s, 1.0),
            (intent, self.changes_per_hour, 3600.0),
        ):
            if name is None or limit is None:
                continue
            times = self._times.setdefault(name, deque())
            while times and times[0] <= now() - period_s:
                times.popleft()
            if len(times) >= limit:
                raise Refusal("Request rate limit exceeded.", status=429, code="rate_limit")
            times.append(now())
