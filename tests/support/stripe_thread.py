"""The double of Stripe on a thread of its own, beside a shop in its own process and a test that blocks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from support.patience import patient
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble

Result = TypeVar("Result")

WEBHOOK_SECRET, OLD_WEBHOOK_SECRET = "whsec_of_the_tests", "whsec_of_yesterday"


class PlayedStripe:
    """A double whose loop runs elsewhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.double = StripeDouble()

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a shop that takes payments here."""
        return {
            "MERCATO_STRIPE_SECRET_KEY": SECRET_KEY,
            "MERCATO_STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "MERCATO_STRIPE_WEBHOOK_SECRETS": f"{WEBHOOK_SECRET},{OLD_WEBHOOK_SECRET}",
            "MERCATO_STRIPE_URL": self.double.url,
            "MERCATO_STRIPE_REQUESTS_PER_SECOND": "100000",
        }

    def do(self, act: Callable[[StripeDouble], Result]) -> Result:
        """Let the double do something, on its loop."""

        async def acted() -> Result:
            return act(self.double)

        return asyncio.run_coroutine_threadsafe(acted(), self._loop).result(patient())

    def idle(self) -> None:
        """Wait until every delivery has ended."""
        asyncio.run_coroutine_threadsafe(self.double.webhooks.idle(), self._loop).result(patient())


@contextmanager
def played_stripe() -> Iterator[PlayedStripe]:
    """Run a double; its money must be sound at the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    played = PlayedStripe(loop)
    try:
        asyncio.run_coroutine_threadsafe(played.double.start(), loop).result(patient())
        yield played
        played.do(lambda double: double.check())
        asyncio.run_coroutine_threadsafe(played.double.stop(), loop).result(patient())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
