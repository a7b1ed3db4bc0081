"""Counts of a worker's notices from providers and of its requests to them, for its metrics."""

from collections import Counter
from enum import StrEnum

from mercato_server.domain.payments import RequestKind


class EventOutcome(StrEnum):
    """The fate of a notice; the values are those of a metric's label."""

    STORED = "stored"
    REPEATED = "repeated"
    """It was stored before."""
    NOT_OURS = "not_ours"
    """It is authentic, and of another mode or account, or about no payment."""
    REFUSED = "refused"
    """It is not authentic, or no notice."""


class RequestOutcome(StrEnum):
    """The end of one try of a request; the values are those of a metric's label."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    DEFERRED = "deferred"
    """Its outcome is not known yet; it is tried again."""


class Tally:
    """Plain numbers that only the event loop writes, so another thread may read them at any moment."""

    def __init__(self) -> None:
        self.events: Counter[EventOutcome] = Counter(dict.fromkeys(EventOutcome, 0))
        self.requests: Counter[tuple[RequestKind, RequestOutcome]] = Counter(
            {(kind, outcome): 0 for kind in RequestKind for outcome in RequestOutcome}
        )
