"""The events of the account: https://docs.stripe.com/api/events."""

import secrets
from collections.abc import Callable
from typing import Any

from support.stripe_double.refusals import Body

KEPT_S = 30 * 86_400
"""Events can be read for 30 days (stripe-python 16.1.0, `Event`)."""
API_VERSION = "2026-10-28.endive"
"""The version that stripe-python 16.1.0 pins."""


class Events:
    """All events, oldest first. The content of an event never changes."""

    def __init__(self, now: Callable[[], int], listener: Callable[[Body], None]) -> None:
        self._now, self._listener = now, listener
        self._events: dict[str, Body] = {}
        self._omitted: set[str] = set()
        self.request: dict[str, Any] = {"id": None, "idempotency_key": None}
        """The request that runs now, which its events name."""

    def omit(self, kind: str) -> None:
        """Never again make events of a kind: very rarely, Stripe fails to (by the design)."""
        self._omitted.add(kind)

    def add(self, kind: str, body: Body) -> None:
        """Make an event about an object."""
        if kind in self._omitted:
            return
        id_ = f"evt_{secrets.token_hex(12)}"
        event = {
            "id": id_,
            "object": "event",
            "api_version": API_VERSION,
            "created": self._now(),
            "data": {"object": body},
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(self.request),
            "type": kind,
        }
        self._events[id_] = event
        self._listener(event)

    def kept(self) -> list[Body]:
        """Return the events that can still be read."""
        return [each for each in self._events.values() if each["created"] > self._now() - KEPT_S]

    def find(self, id_: str) -> Body | None:
        """Return an event that can still be read."""
        event = self._events.get(id_)
        return event if event and event["created"] > self._now() - KEPT_S else None

    def of_kind(self, kind: str) -> list[Body]:
        """Return the events of a kind."""
        return [each for each in self._events.values() if each["type"] == kind]
