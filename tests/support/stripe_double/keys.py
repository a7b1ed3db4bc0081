"""The store of idempotency keys: https://docs.stripe.com/api/idempotent_requests."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.stripe_double.refusals import Refusal
from support.stripe_double.wire import Response

LENGTH_MAX = 255
KEPT_S = 24 * 3600
"""Keys go "after they're at least 24 hours old"; in the double, at once then."""
FORM = re.compile(r"[A-Za-z0-9_-]{8,}:[1-9][0-9]{0,3}")
"""`id:attempt`, the form of Mercato's keys (by the design): the SDK gives a POST without a key a random one, which has no attempt."""


@dataclass
class _Entry:
    fingerprint: tuple[str, Any]
    began: int
    response: Response | None = None


class Keys:
    """Keys of all POST requests, each bound to the endpoint and the parameters of its first request."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: str, endpoint: str, values: dict[str, Any]) -> Response | None:
        """Claim a key, or return the stored response of its first request, byte for byte, errors and 500s included.

        Raises:
            Refusal: the key is not of the form, belongs to another request (400), or to one that still runs (409).
        """
        if len(key) > LENGTH_MAX or not FORM.fullmatch(key):
            raise Refusal(f"The idempotency key {key!r} is not of the form id:attempt.", kind="idempotency_error")
        entry = self._entries.get(key)
        if entry is not None and entry.response and entry.began + KEPT_S <= self._now():
            entry = None
        if entry is None:
            self._entries[key] = _Entry((endpoint, values), self._now())
            return None
        if entry.fingerprint != (endpoint, values):
            raise Refusal(
                "Keys for idempotent requests can only be used with the same endpoint and the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        if entry.response is None:
            raise Refusal(
                f"There is currently another in-progress request using this idempotency key: {key}.",
                status=409,
                code="idempotency_key_in_use",
            )
        return entry.response

    def store(self, key: str, response: Response) -> None:
        """Keep the result of a request whose execution began."""
        self._entries[key].response = response

    def forget(self, key: str) -> None:
        """Release a key: "if incoming parameters fail validation […] we don't save the idempotent result"."""
        del self._entries[key]

    def settled(self) -> list[list[Any]]:
        """Return the keys with a stored result that are not too old, as lists for JSON."""
        return [
            [key, *entry.fingerprint, entry.began, entry.response.status, entry.response.body.decode(), dict(entry.response.fields)]
            for key, entry in self._entries.items()
            if entry.response and entry.began + KEPT_S > self._now()
        ]

    def restore(self, settled: list[list[Any]]) -> None:
        """Take the keys that `settled` has returned."""
        for key, endpoint, values, began, status, body, fields in settled:
            self._entries[key] = _Entry((endpoint, values), began, Response(status, body.encode(), fields))
