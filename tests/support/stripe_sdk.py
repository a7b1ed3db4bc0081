"""The official SDK of Stripe at the address of its double."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stripe
from stripe import HTTPXClient, RequestOptions, StripeClient

from support.stripe_double.double import SECRET_KEY, StripeDouble
from support.stripe_double.events import API_VERSION

stripe.enable_telemetry = False  # it writes a file below the home directory (by the design)


@asynccontextmanager
async def client(
    double: StripeDouble, api_key: str = SECRET_KEY, version: str = API_VERSION, retries: int = 0
) -> AsyncIterator[StripeClient]:
    """Yield a client as the shop has one: asynchronous, at the pinned version."""
    connection = HTTPXClient(timeout=30, verify_ssl_certs=False)
    yield StripeClient(
        api_key, stripe_version=version, base_addresses={"api": double.url}, max_network_retries=retries, http_client=connection
    )
    await connection.close_async()  # type: ignore[no-untyped-call] # the SDK leaves it untyped


def key(id_: str | None = None, attempt: int = 1) -> RequestOptions:
    """Return the options of a POST with an idempotency key of the form of the shop's."""
    return {"idempotency_key": f"{id_ or secrets.token_hex(16)}:{attempt}"}
