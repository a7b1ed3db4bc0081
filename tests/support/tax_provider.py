"""A provider of taxes over HTTP, as docs/taxes.md describes one, that a test can make slow, broken or wrong."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any

from mercato_server.config.tax_settings import TaxProviderSettings
from support.patience import until

HOST = "127.0.0.1"
SECRET = "a secret of the tests only"
MILLION = 1_000_000
RATES = {"standard": 190_000, "reduced": 70_000}
"""By tax category, whatever the place is; deliveries that are taxed as the goods take the standard rate."""

Answer = Callable[[dict[str, Any]], Awaitable[bytes]]
"""Returns all bytes of a response to a question; none closes the connection."""


def response(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """Return the bytes of a response."""
    head = (f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *fields)
    return "\r\n".join((*head, "", "")).encode() + body


def taxes(question: dict[str, Any]) -> dict[str, Any]:
    """Return the taxes of a question by the rates of this provider, rounded half up."""

    def tax(category: str, amount_minor: int) -> dict[str, Any]:
        ppm = RATES["standard" if category == "as-goods" else category]
        exact = Fraction(amount_minor * ppm, MILLION + ppm if question["prices_include_tax"] else MILLION)
        return {"name": f"Provided {ppm // 10_000}%", "rate_ppm": ppm, "tax_minor": int(exact + Fraction(1, 2))}

    lines = [
        {"product_id": line["product_id"], **tax(line["tax_category"], line["amount_minor"])}
        for line in question["lines"]
        if line["tax_category"]
    ]
    delivery = question["delivery"]
    parts = [{"amount_minor": delivery["amount_minor"], **tax(delivery["tax_category"], delivery["amount_minor"])}] if delivery else []
    return {"lines": lines, "delivery": parts, "tax_minor": sum(part["tax_minor"] for part in (*lines, *parts))}


class Office:
    """The server; it answers by its rates unless a test has set `answer`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.questions: list[dict[str, Any]] = []
        self.heads: list[str] = []
        """The request line and header fields of each question."""
        self.answer: Answer = self.right
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def right(self, question: dict[str, Any]) -> bytes:
        return response(json.dumps(taxes(question)).encode())

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()
            await self._server.wait_closed()

    def settings(self, timeout_s: float = 20.0) -> TaxProviderSettings:
        """Return the settings of a shop that asks this provider."""
        return TaxProviderSettings(
            url=f"http{'s' * bool(self._tls)}://{HOST}:{self.port}/v1/taxes?shop=1", secret=SECRET, timeout_s=timeout_s
        )

    async def until_asked(self, count: int) -> None:
        """Wait until there were this many questions."""
        await until(lambda: len(self.questions) >= count, f"{count} questions were asked")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while answer := await self._exchange(reader):
                writer.write(answer)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader) -> bytes:
        """Read a request, and return the response."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [length] = [line.partition(":")[2] for line in head.lower().splitlines() if line.startswith("content-length:")]
        question = json.loads(await reader.readexactly(int(length)))
        self.heads.append(head)
        self.questions.append(question)
        return await self.answer(question)
