"""The double of Stripe, driven through the official SDK; these tests need no database, so they are unit tests of the double."""

from collections.abc import AsyncIterator

import pytest
from stripe import StripeClient

from support.stripe_double.double import StripeDouble
from support.stripe_sdk import client


@pytest.fixture
async def double() -> AsyncIterator[StripeDouble]:
    """A double whose money must be sound at the end of the test."""
    double = StripeDouble()
    await double.start()
    yield double
    double.check()
    await double.stop()


@pytest.fixture
async def sdk(double: StripeDouble) -> AsyncIterator[StripeClient]:
    async with client(double) as sdk:
        yield sdk
