"""The double as a program: `python -m support.stripe_double` in tests/. It keeps everything in memory, and moves play money only."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble

SETTLE_S = 1.0
"""How often the program does what Stripe does later."""


async def run(port: int, webhook_url: str | None, webhook_secret: str) -> None:
    """Serve until a signal to terminate."""
    double = StripeDouble(port)
    if webhook_url:
        double.webhooks.endpoint(webhook_url, webhook_secret)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await double.start()
    sys.stdout.write(f"play money: a double of Stripe on {double.url} (keys {SECRET_KEY} and {PUBLISHABLE_KEY})\n")
    sys.stdout.flush()
    try:
        while not stopped.is_set():
            double.acts.settle()
            try:
                await asyncio.wait_for(stopped.wait(), SETTLE_S)
            except TimeoutError:
                continue
    finally:
        await double.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, and serve."""
    parser = argparse.ArgumentParser(prog="python -m support.stripe_double", description="A double of Stripe with play money.")
    parser.add_argument("--port", type=int, default=12111, help="a loopback port (0: any)")
    parser.add_argument("--webhook-url", help="where to send events")
    parser.add_argument("--webhook-secret", default="whsec_double", help="what to sign them with")
    given = parser.parse_args(arguments)
    asyncio.run(run(given.port, given.webhook_url, given.webhook_secret))


if __name__ == "__main__":
    main()
