"""The client of a provider of taxes over HTTP."""

import asyncio
import ssl
from collections.abc import Mapping

import httpx
import structlog

from mercato_server.config.tax_settings import TaxProviderSettings
from mercato_server.domain.pricing_errors import ProviderFailure, TaxProviderUnavailable
from mercato_server.domain.provided_taxes import ProvidedTaxes, TaxQuestion
from mercato_server.taxes import contract
from mercato_server.tracing.steps import step

log = structlog.get_logger(__name__)

QUESTIONS_MAX = 32
"""Questions of a worker under way at once. Further quotes are refused, so that a slow provider does not hold up other calls."""
ANSWER_BYTES_MAX = 256 * 1024
"""200 lines with long names of rates have about half of it."""
LINE_EVERY_S = 10.0
"""Least time between two lines of the log about failures."""


class _Failed(Exception):
    """A question without an answer that can be used; the message tells the operator more."""

    def __init__(self, failure: ProviderFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


class HttpTaxProvider:
    """A provider that answers POST requests at one URL. It is asked once for each question, and redirects are not followed."""

    def __init__(self, settings: TaxProviderSettings, currency: str) -> None:
        self._settings = settings
        self._currency = currency
        self._client = httpx.AsyncClient(
            headers={
                "authorization": f"Bearer {settings.secret}",
                "content-type": "application/json",
                "accept": "application/json",
                "accept-encoding": "identity",  # the limit of an answer is that of its bytes on the wire
            },
            verify=ssl.create_default_context() if settings.url.startswith("https") else False,
            trust_env=False,
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=QUESTIONS_MAX, max_keepalive_connections=QUESTIONS_MAX),
        )
        self._asked = 0
        self._failures = 0
        self._next_line_s = 0.0

    async def taxes(self, question: TaxQuestion) -> ProvidedTaxes:
        """Return the taxes of all that the question has; raises TaxProviderUnavailable. Never called within a transaction."""
        try:
            return contract.answer(await self._post(contract.request(question, self._currency)), question)
        except contract.UnusableAnswerError as error:
            failure, detail = ProviderFailure.UNUSABLE, str(error)
        except _Failed as error:
            failure, detail = error.failure, str(error)
        self._log(failure, detail)
        raise TaxProviderUnavailable(failure)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _post(self, body: bytes) -> bytes:
        """Send a request and return the body of its answer; raises _Failed or UnusableAnswerError."""
        if self._asked >= QUESTIONS_MAX:
            raise _Failed(ProviderFailure.BUSY, f"{QUESTIONS_MAX} questions are under way")
        self._asked += 1
        try:
            async with asyncio.timeout(self._settings.timeout_s):  # for all of it; the library limits only each step
                return await self._exchange(body)
        except (TimeoutError, httpx.TimeoutException):
            raise _Failed(ProviderFailure.SLOW, f"no answer within {self._settings.timeout_s} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Failed(ProviderFailure.UNREACHABLE, type(error).__name__) from None
        finally:
            self._asked -= 1

    async def _exchange(self, body: bytes) -> bytes:
        with step("ask the tax provider", "tax") as headers:
            return await self._exchange_in_step(body, headers)

    async def _exchange_in_step(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        async with self._client.stream("POST", self._settings.url, content=body, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                raise _Failed(ProviderFailure.REFUSED, f"status {response.status_code}")
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > ANSWER_BYTES_MAX:
                    raise contract.UnusableAnswerError(f"it must have at most {ANSWER_BYTES_MAX} bytes")
            return bytes(content)

    def _log(self, failure: ProviderFailure, detail: str) -> None:
        self._failures += 1
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_line_s:
            log.warning("the tax provider failed", failure=failure, detail=detail, failures=self._failures)
            self._failures, self._next_line_s = 0, now_s + LINE_EVERY_S
