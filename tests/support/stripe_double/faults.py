"""Faults that a test scripts for the next requests of an operation."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal

Wait = float | asyncio.Event


@dataclass(frozen=True)
class Fault:
    """The fate of one request.

    A `status` before the execution is a refusal in front of the idempotency layer: nothing happens and nothing is stored, so the same key
    may succeed later, "because rate limiters run before the API's idempotency layer" (https://docs.stripe.com/error-low-level). A
    `broken` execution is a 500 that its key stores, with or without the effect.
    """

    status: int | None = None
    should_retry: str | None = None
    """The header Stripe-Should-Retry, which the SDK obeys (stripe-python 16.1.0, `_should_retry`)."""
    broken: Literal["with effect", "without effect"] | None = None
    lost: Literal["request", "answer"] | None = None
    before: Wait = 0.0
    """Seconds, or an event that a test sets, before the execution; the key is in use meanwhile."""
    after: Wait = 0.0
    """The same, after the execution, before the answer."""


def refused(status: int, should_retry: str | None = None) -> Fault:
    """Return a refusal before anything happens: 401, 403, 409, 429, or a 5xx of a provider that is down."""
    return Fault(status=status, should_retry=should_retry)


def broken(*, effect: bool) -> Fault:
    """Return a 500 that its key stores."""
    return Fault(broken="with effect" if effect else "without effect")


LOST_REQUEST = Fault(lost="request")
LOST_ANSWER = Fault(lost="answer")


async def pause(wait: Wait) -> None:
    """Wait for seconds, or for an event."""
    if isinstance(wait, asyncio.Event):
        await wait.wait()
    elif wait:
        await asyncio.sleep(wait)


class Script:
    """The faults to come, by operation (`refunds.create`); `*` is any operation that has none of its own."""

    def __init__(self) -> None:
        self._faults: dict[str, deque[Fault]] = {}
        self._standing: dict[str, Fault] = {}

    def add(self, operation: str, *faults: Fault) -> None:
        """Give the next requests of an operation one fault each."""
        self._faults.setdefault(operation, deque()).extend(faults)

    def stand(self, operation: str, fault: Fault) -> None:
        """Give all requests of an operation that have no fault of their own this one, until `lift`."""
        self._standing[operation] = fault

    def lift(self, operation: str) -> None:
        """Give the requests of an operation the standing fault no longer."""
        del self._standing[operation]

    def take(self, operation: str) -> Fault:
        """Return the fault of this request; one that changes nothing if none is scripted."""
        for name in (operation, "*"):
            if faults := self._faults.get(name):
                return faults.popleft()
        return self._standing.get(operation, Fault())

    def left(self) -> int:
        """Return how many faults have not happened yet."""
        return sum(len(faults) for faults in self._faults.values())
