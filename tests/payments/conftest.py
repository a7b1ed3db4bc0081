"""The provider of Stripe at the double of Stripe, and shops that take payments there."""

from collections.abc import AsyncIterator

import pytest

from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.payments.stripe_provider import StripeProvider
from support.stripe_double.double import StripeDouble
from support.stripe_shop import settings_of
from support.till import Till, opened


@pytest.fixture
async def double() -> AsyncIterator[StripeDouble]:
    """A double whose money must be sound at the end of the test."""
    double = StripeDouble()
    await double.start()
    yield double
    double.check()
    await double.stop()


@pytest.fixture
async def provider(double: StripeDouble) -> AsyncIterator[StripeProvider]:
    """The provider of a shop in USD."""
    provider = StripeProvider(settings_of(double.url), "USD")
    yield provider
    await provider.close()


@pytest.fixture
async def till(settings: Settings, pool: "Pool", double: StripeDouble) -> AsyncIterator[Till]:
    """A shop that captures payments at once."""
    async with opened(settings, pool, double) as till:
        yield till


@pytest.fixture
async def late_till(settings: Settings, pool: "Pool", double: StripeDouble) -> AsyncIterator[Till]:
    """A shop that captures payments with the first parcel."""
    async with opened(settings, pool, double, capture_later=True) as till:
        yield till
