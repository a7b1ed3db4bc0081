"""Signed events of Stripe: https://docs.stripe.com/webhooks/signature.

The SDK's own check raises other errors than its own for hostile bytes, and builds objects of any shape; this one does neither.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mercato_server.payments.provider import ProviderEvent, UnusableEventError
from mercato_server.payments.stripe_facts import Body, UnusableObjectError, field, moment, of_payment

TOLERANCE_S = 300
"""Age of a signature; one that seems to come from the future is accepted, because clocks differ."""
HEADER_MAX = 4_096
SIGNATURES_MAX = 16
PLAIN = re.compile(r"[!-~]{1,255}")
SNAPSHOT, THIN = "event", "v2.core.event"
OF_PAYMENTS = ("payment_intent.", "charge.", "refund.")
"""Beginnings of the kinds of events that concern payments: `charge.dispute.closed` too."""


class Events:
    """Checks and reads the events of one account and mode."""

    def __init__(self, secrets: Sequence[str], *, is_live: bool, clock: Callable[[], float] = time.time) -> None:
        self._secrets, self._is_live, self._clock = tuple(secrets), is_live, clock

    def read(self, body: bytes, signature: str) -> ProviderEvent:
        """Return the event of a signed request; raises UnusableEventError for any other bytes."""
        self._verify(body, signature)
        try:
            content = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise UnusableEventError("it is no JSON") from None
        if not isinstance(content, dict):
            raise UnusableEventError("it is no object")
        try:
            return self._event(content)
        except UnusableObjectError as error:
            raise UnusableEventError(str(error)) from None

    def _verify(self, body: bytes, signature: str) -> None:
        """Check the HMAC of the bytes as they came, by any of the secrets."""
        if not self._secrets:
            raise UnusableEventError("no secret of webhooks is set")
        parts = [part.strip().partition("=") for part in signature[:HEADER_MAX].split(",")]
        times = [value for name, _, value in parts if name == "t"]
        given = [value for name, _, value in parts if name == "v1" and re.fullmatch(r"[0-9a-f]{64}", value)][:SIGNATURES_MAX]
        if len(times) != 1 or not re.fullmatch(r"[0-9]{1,12}", times[0]):
            raise UnusableEventError("the signature has no time")
        signed = times[0].encode() + b"." + body
        right = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in self._secrets]
        if not any([hmac.compare_digest(one, other) for one in given for other in right]):  # noqa: C419 - in the same time for any
            raise UnusableEventError("the signature is not by a secret of this shop")
        if int(times[0]) < self._clock() - TOLERANCE_S:
            raise UnusableEventError("the signature is too old")

    def _event(self, content: Body) -> ProviderEvent:
        form = field(content, "object", str)
        if form not in {SNAPSHOT, THIN}:
            raise UnusableObjectError(f"object must be {SNAPSHOT} or {THIN}")
        kind = _plain(content, "type")
        is_of_account = content.get("account") is None and content.get("context") is None
        return ProviderEvent(
            event_id=_plain(content, "id"),
            kind=kind,
            provider_ref=_payment(content, kind) if form == SNAPSHOT else "",
            is_ours=field(content, "livemode", bool) is self._is_live and is_of_account,
            created_at=moment(content, "created") if form == SNAPSHOT else _time(content, "created"),
        )


def _payment(content: Body, kind: str) -> str:
    """Return the payment intent that an event concerns; empty for an event of another kind of object."""
    thing: Body = field(field(content, "data", dict), "object", dict)
    if not kind.startswith(OF_PAYMENTS):
        return ""
    reference = _plain(thing, "id") if thing.get("object") == "payment_intent" else of_payment(thing)
    if reference and not PLAIN.fullmatch(reference):
        raise UnusableObjectError("payment_intent must be an id")
    return reference


def _plain(body: Mapping[str, Any], name: str) -> str:
    value = field(body, name, str)
    if not PLAIN.fullmatch(value):
        raise UnusableObjectError(f"{name} must have 1 to 255 visible ASCII characters")
    return value


def _time(body: Body, name: str) -> datetime:
    """Return a time of the API's version 2, which writes it as RFC 3339."""
    try:
        found = datetime.fromisoformat(field(body, name, str))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnusableObjectError(f"{name} must be a time") from None
