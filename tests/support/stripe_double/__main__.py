"""The double as a program: `python -m support.stripe_double` in tests/. It moves play money only.

`mercato up --demo-payments` runs it beside a shop.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from socket import socket

from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble

SECRET_VARIABLE = "STRIPE_DOUBLE_WEBHOOK_SECRET"
"""Names the secret that signs webhooks; a command line could be read by all users of the machine."""
SETTLE_S = 1.0
"""How often the program does what Stripe does later."""


async def run(given: argparse.Namespace) -> None:
    """Serve until a signal to terminate."""
    listener = None if given.listener is None else socket(fileno=given.listener)
    double = StripeDouble(given.port, listener=listener, file=given.file)
    if given.webhook_url:
        double.webhooks.endpoint(given.webhook_url, os.environ.get(SECRET_VARIABLE) or "whsec_double")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await double.start()
    sys.stdout.write(f"play money: a double of Stripe on {double.url} (keys {SECRET_KEY} and {PUBLISHABLE_KEY})\n")
    sys.stdout.flush()
    try:
        while not stopped.is_set():
            double.acts.settle()
            double.save()
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
    parser.add_argument("--listener", type=int, help="a file descriptor that is inherited and listens already")
    parser.add_argument("--webhook-url", help="where to send events")
    parser.add_argument("--file", type=Path, help="keep the account there (default: only in memory)")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
