"""Settings of payments: the account at Stripe, and the time of the capture."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from mercato_server.config.environment import ConfigError, integer, one_of, private_url

STRIPE_URL = "https://api.stripe.com"
WEBHOOK_SECRETS_MAX = 2
"""The secret in use, and the one before it while an endpoint's secret is replaced."""
LIVE_PER_SECOND, TEST_PER_SECOND = 100, 25
"""Requests that Stripe takes from an account: https://docs.stripe.com/rate-limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    """The account at Stripe, and the limits of a worker's requests to it."""

    secret_key: str = field(repr=False)
    publishable_key: str
    """Given to buyers, whose browsers pay with it."""
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets that may sign a webhook; without one all webhooks are refused, and only reads find changes."""
    url: str = STRIPE_URL
    """Address of the API, without a slash at its end."""
    timeout_s: float = 10.0
    """Time limit of a request with its answer, and of the wait for a turn before it."""
    requests_per_s: int = TEST_PER_SECOND
    """Requests of a worker."""

    @property
    def is_live(self) -> bool:
        """Return whether the keys move money, not test money."""
        return _mode(self.secret_key) == "live"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """Read the settings, None without a secret key; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        if not env.get("MERCATO_STRIPE_SECRET_KEY"):
            return None
        secret_key = _key(env, "MERCATO_STRIPE_SECRET_KEY", "(?:sk|rk)")
        publishable_key = _key(env, "MERCATO_STRIPE_PUBLISHABLE_KEY", "pk")
        mode = _mode(secret_key)
        if _mode(publishable_key) != mode:
            raise ConfigError(f"MERCATO_STRIPE_PUBLISHABLE_KEY must be of the mode of MERCATO_STRIPE_SECRET_KEY, which is {mode}")
        usual = LIVE_PER_SECOND if mode == "live" else TEST_PER_SECOND
        return cls(
            secret_key=secret_key,
            publishable_key=publishable_key,
            webhook_secrets=_webhook_secrets(env.get("MERCATO_STRIPE_WEBHOOK_SECRETS", "")),
            url=_address(env.get("MERCATO_STRIPE_URL") or STRIPE_URL),
            timeout_s=integer(env, "MERCATO_STRIPE_TIMEOUT_MS", 10_000, low=1_000, high=60_000) / 1000,
            requests_per_s=integer(env, "MERCATO_STRIPE_REQUESTS_PER_SECOND", usual, low=5, high=100_000),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """How orders are paid; by default only an administrator records payments."""

    stripe: StripeSettings | None = None
    capture_later: bool = False
    """Whether a payment is only authorised when the buyer pays, and captured when the first parcel leaves."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        capture = one_of(env, "MERCATO_PAYMENT_CAPTURE", "at_once", ("at_once", "at_shipment"))
        return cls(stripe=StripeSettings.from_environ(env), capture_later=capture == "at_shipment")


def _key(env: Mapping[str, str], name: str, kind: str) -> str:
    """Return a key of the API; errors never show it."""
    value = env.get(name, "")
    if not re.fullmatch(rf"{kind}_(?:live|test)_[A-Za-z0-9_]{{6,250}}", value):
        form = "pk_live_… or pk_test_…" if kind == "pk" else "sk_live_…, rk_live_…, sk_test_… or rk_test_…"
        raise ConfigError(f"{name} must be a key of Stripe: {form}")
    return value


def _mode(key: str) -> str:
    return key.split("_")[1]


def _webhook_secrets(raw: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in raw.split(",")) if raw.strip() else ()
    if len(secrets) > WEBHOOK_SECRETS_MAX or not all(re.fullmatch(r"whsec_[A-Za-z0-9+/=_-]{3,250}", each) for each in secrets):
        raise ConfigError("MERCATO_STRIPE_WEBHOOK_SECRETS must have one or two secrets of the form whsec_…, separated by a comma")
    return secrets


def _address(raw: str) -> str:
    url = urlsplit(private_url("MERCATO_STRIPE_URL", raw))
    if url.query or url.path.strip("/"):
        raise ConfigError("MERCATO_STRIPE_URL must have neither a path nor a query")
    return f"{url.scheme}://{url.netloc}"
