"""The provider of Stripe at the double of Stripe; these tests need no database."""

from collections.abc import AsyncIterator

import pytest

from mercato_server.payments.stripe_provider import StripeProvider
from support.stripe_double.double import StripeDouble
from support.stripe_shop import settings_of


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
