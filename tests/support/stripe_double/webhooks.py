"""Signed webhooks, which a test can lose, repeat, hold back and reorder.

Stripe may deliver an event more than once and in any order, and repeats failed deliveries: https://docs.stripe.com/webhooks.
"""

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx

from support.stripe_double.refusals import Body

ATTEMPTS, FIRST_PAUSE_S = 6, 0.05
"""Stripe repeats a delivery for up to three days, in growing intervals; the double does it faster."""
TIMEOUT_S = 30.0


def signature(body: bytes, secrets: Iterable[str], at: int) -> str:
    """Return the header Stripe-Signature: the HMAC-SHA256 of `t.body` by scheme v1 (stripe-python 16.1.0, `WebhookSignature`).

    While a secret is replaced there is one v1 for each (by the design). Test mode adds a fake scheme v0 (stripe-go, `webhook/client.go`).
    """
    signed = f"{at}.".encode() + body
    good = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join((f"t={at}", *(f"v1={each}" for each in good), f"v0={hashlib.sha256(signed).hexdigest()}"))


@dataclass(frozen=True)
class Sent:
    """A delivery that was attempted; the status is None if no answer came."""

    event: str
    kind: str
    status: int | None


class Webhooks:
    """Delivers events to one endpoint, one after the other in the order of their creation, unless a test has scripted another fate."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._url: str | None = None
        self.secrets: list[str] = []
        self.sent: list[Sent] = []
        self._copies: dict[str, deque[int]] = {}
        self._held: list[Body] | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    def endpoint(self, url: str, *secrets: str) -> None:
        """Send events to an address, signed with each of the secrets."""
        self._url, self.secrets = url, list(secrets)

    def lose(self, kind: str, times: int = 1) -> None:
        """Never deliver the next events of a kind."""
        self._copies.setdefault(kind, deque()).extend([0] * times)

    def repeat(self, kind: str, copies: int = 2) -> None:
        """Deliver the next event of a kind more than once."""
        self._copies.setdefault(kind, deque()).append(copies)

    def hold(self) -> None:
        """Keep events back until `release`."""
        self._held = []

    def release(self, order: Callable[[Sequence[Body]], Iterable[Body]] = list) -> None:
        """Deliver what was kept back, for example in the order `reversed`."""
        held, self._held = self._held or [], None
        for event in order(held):
            self._deliver(event)

    def add(self, event: Body) -> None:
        """Deliver an event, or keep it back."""
        if self._held is not None:
            self._held.append(event)
        else:
            self._deliver(event)

    def _deliver(self, event: Body) -> None:
        if self._url is None:
            return
        event["pending_webhooks"] = 1  # also if it is lost: Stripe counts what was not delivered
        body = json.dumps(event).encode()
        copies = self._copies.get(event["type"])
        for _ in range(copies.popleft() if copies else 1):
            task = asyncio.create_task(self._attempts(event, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attempts(self, event: Body, body: bytes) -> None:
        """Deliver until the endpoint accepts: any 2xx."""
        pause_s = FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            async with self._turn:  # a lock is fair, so the order is that of the tasks
                status = await self.send(body)
            self.sent.append(Sent(event["id"], event["type"], status))
            if status is not None and status // 100 == 2:
                event["pending_webhooks"] = 0
                return
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def send(self, body: bytes, *, secrets: Iterable[str] | None = None, at: int | None = None) -> int | None:
        """Post any bytes to the endpoint, signed with these or its own secrets, now or at another time; return the status."""
        assert self._url is not None
        if self._client is None:  # a shop on this machine has a certificate for another name
            self._client = httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S, verify=False)  # noqa: S501
        header = signature(body, self.secrets if secrets is None else secrets, self._now() if at is None else at)
        fields = {"content-type": "application/json; charset=utf-8", "stripe-signature": header}
        with suppress(httpx.TransportError):
            return (await self._client.post(self._url, content=body, headers=fields)).status_code
        return None

    async def idle(self) -> None:
        """Wait until every delivery has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """End all deliveries."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client:
            await self._client.aclose()
            self._client = None
