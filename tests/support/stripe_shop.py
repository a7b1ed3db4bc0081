"""The provider of Stripe as a shop has it, at the address of a double."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from mercato_server.config.payment_settings import StripeSettings
from mercato_server.payments.provider import CreatedPayment
from mercato_server.payments.stripe_provider import StripeProvider
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY


def settings_of(url: str, **changes: Any) -> StripeSettings:
    """Return the settings of a shop at a double, whose limits do not slow down a test."""
    settings = StripeSettings(secret_key=SECRET_KEY, publishable_key=PUBLISHABLE_KEY, url=url, requests_per_s=100_000)
    return replace(settings, **changes)


@asynccontextmanager
async def provider_at(url: str, currency: str = "USD", **changes: Any) -> AsyncIterator[StripeProvider]:
    """Yield a provider with other settings."""
    provider = StripeProvider(settings_of(url, **changes), currency)
    yield provider
    await provider.close()


def key(attempt: int = 1) -> str:
    """Return a key for a new change."""
    return f"{secrets.token_hex(16)}:{attempt}"


async def create(
    provider: StripeProvider, amount_minor: int = 1_000, currency: str = "USD", payment_id: UUID | None = None, *, later: bool = False
) -> CreatedPayment:
    """Create a payment of a new order."""
    return await provider.create(key(), payment_id or uuid4(), uuid4(), amount_minor, currency, capture_later=later)
