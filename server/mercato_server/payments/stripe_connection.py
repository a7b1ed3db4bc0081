"""Requests to Stripe by its SDK: one deadline each, limits, no proxy, no telemetry, no repetition, and errors in the shop's words."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx
import stripe
from stripe import HTTPClient, StripeClient, StripeObject, _util

from mercato_server.config.payment_settings import StripeSettings
from mercato_server.payments import stripe_errors
from mercato_server.payments.provider import Certainty, ProviderError
from mercato_server.payments.token_buckets import Lane, Operation, Turns
from mercato_server.tracing.steps import step

API_VERSION = "2026-10-28.endive"
"""The version of stripe-python 16.1.0, whose minor releases move it. The webhook's endpoint must have the same."""
ANSWER_BYTES_MAX = 2 * 1024 * 1024
HEADERS = ("request-id", "retry-after", "idempotent-replayed")
"""Headers that the SDK gets to see; its other use of them is to print notices."""
BROKEN = (AttributeError, KeyError, TypeError, ValueError, RecursionError, Warning)
"""Errors of the SDK, beside its own, for an answer of another shape."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of success."""

    body: dict[str, Any]
    is_replayed: bool
    """Whether it is that of an earlier request with the same key, and so may be outdated."""


_headers_of_trace: ContextVar[Mapping[str, str]] = ContextVar("headers of the trace", default={})  # noqa: B039 - it is never changed


class StripeConnection:
    """The SDK's client, and the turns of its requests."""

    def __init__(self, settings: StripeSettings) -> None:
        _silence()
        self._timeout_s = settings.timeout_s
        self._turns = Turns(settings.requests_per_s)
        self._transport = _Transport(settings)
        client = StripeClient(
            settings.secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": settings.url},
            max_network_retries=0,
            http_client=self._transport,
        )
        self.v1 = client.v1

    async def ask(self, operation: Operation, method: Callable[..., Awaitable[StripeObject]], *arguments: Any) -> Answer:
        """Call a method of the SDK once it is the request's turn; raises ProviderError."""
        async with self._turns.turn(operation, self._timeout_s):
            try:
                with step(f"stripe {operation.value[0]}", "stripe") as headers:
                    _headers_of_trace.set(headers)
                    async with asyncio.timeout(self._timeout_s):  # for all of it; the library limits only each step
                        found = await method(*arguments)
                headers = found.last_response.headers if found.last_response else {}
                return Answer(found.to_dict(), headers.get("idempotent-replayed") == "true")
            except TimeoutError:
                raise ProviderError(Certainty.UNKNOWN, "timeout", f"no answer within {self._timeout_s:g} s") from None
            except stripe.StripeError as error:
                raise stripe_errors.of_answer(error) from None
            except BROKEN as error:
                raise stripe_errors.unusable(type(error).__name__) from None

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.close_async()


class _Transport(HTTPClient):
    """The requests of the SDK by httpx. The SDK's own class takes no limits, and obeys the environment's proxies."""

    name = "httpx"

    def __init__(self, settings: StripeSettings) -> None:
        super().__init__()
        connections = sum(lane.in_flight for lane in Lane)
        self._client = httpx.AsyncClient(
            headers={"accept-encoding": "identity"},  # the limit of an answer is that of its bytes on the wire
            verify=_trusted() if settings.url.startswith("https") else False,
            trust_env=False,
            timeout=httpx.Timeout(settings.timeout_s, connect=settings.timeout_s / 2),  # an unreachable host is told from a slow one
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request; raises ProviderError."""
        content = bytearray()
        try:
            sent = {**headers, **_headers_of_trace.get()}
            async with self._client.stream(method, url, headers=sent, content=(post_data or "").encode()) as response:
                async for part in response.aiter_raw():
                    content += part
                    if len(content) > ANSWER_BYTES_MAX:
                        raise ProviderError(Certainty.UNKNOWN, stripe_errors.TOO_LARGE, f"an answer of over {ANSWER_BYTES_MAX} bytes")
                kept = {name: response.headers[name] for name in HEADERS if name in response.headers}
                return bytes(content), response.status_code, kept
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise stripe_errors.of_connection(error) from None

    async def close_async(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _trusted() -> ssl.SSLContext:
    """Trust the system's certificates, and those of the SDK: a slim machine has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=stripe.ca_bundle_path)
    return context


def _silence() -> None:
    """Let the SDK neither report about this machine, nor print or log the bodies of answers: they have client secrets."""
    stripe.enable_telemetry = False
    stripe.log = None
    _util.STRIPE_LOG = None  # read from the environment as the SDK was loaded
    for name in ("stripe", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
