"""The page fields of list requests, and responses that are as long as a page may be (AIP-158)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from mercato_server.cache.catalog_cache import response
from mercato_server.config.settings import Limits
from mercato_server.domain.paging import Page, PageTokens, Position
from mercato_server.validation.checks import Checks

Listed = TypeVar("Listed", bound=tuple[Any, ...])
"""Rows of a page and the position of the last one if more follow, perhaps with more values."""
Row = TypeVar("Row")


class ListRequest(Protocol):
    """The page fields of a list request."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Pager:
    """Reads the page of a request and writes the token of the next one."""

    tokens: PageTokens
    limits: Limits

    def check(self, check: Checks, request: ListRequest, *, skip: int = 0) -> None:
        """Report a page size or skip that is out of bounds."""
        if request.page_size < 0:
            check.fail("page_size", "must not be negative")
        check.between("skip", skip, 0, self.limits.skip_max)

    def page(self, request: ListRequest, query: str, *, skip: int = 0) -> Page:
        """Return the page of a checked request; `query` is a text that represents the list's other arguments.

        Raises PageTokenInvalid for a token of another list.
        """
        size = min(request.page_size or self.limits.page_size_default, self.limits.page_size_max)
        after = self.tokens.decode(request.page_token, query) if request.page_token else None
        return Page(size, after, skip)

    async def fitting(
        self, page: Page, read: Callable[[Page], Awaitable[Listed]], to_message: Callable[[Any], Message]
    ) -> tuple[Listed, list[bytes]]:
        """Read a page, and return it with its serialized rows.

        If they have more than `page_bytes`, the page is read again with as many rows as fit, at least one. So its token is that of the last
        row that it has.
        """
        while True:
            listed = await read(page)
            rows = [to_message(row).SerializeToString() for row in listed[0]]
            fit = sum(total <= self.limits.page_bytes for total in accumulate(map(len, rows)))
            if fit == len(rows) or len(rows) == 1:
                return listed, rows
            page = replace(page, size=max(1, fit))

    async def answer(
        self,
        page: Page,
        query: str,
        read: Callable[[Page], Awaitable[tuple[Sequence[Row], Position | None]]],
        to_message: Callable[[Row], Message],
        response_type: Callable[..., Message],
    ) -> bytes:
        """Return the serialized response with a page of a list; its type has the rows in field 1, and a `next_page_token`."""
        (_, last), rows = await self.fitting(page, read, to_message)
        return response(rows, response_type(next_page_token=self.next_token(last, query)).SerializeToString())

    async def listed(
        self,
        request: ListRequest,
        query: str,
        read: Callable[[Page], Awaitable[tuple[Sequence[Row], Position | None]]],
        to_message: Callable[[Row], Message],
        response_type: Callable[..., Message],
    ) -> bytes:
        """Return the serialized response to a checked request; raises PageTokenInvalid for a token of another list."""
        return await self.answer(self.page(request, query), query, read, to_message, response_type)

    def next_token(self, last: Position | None, query: str) -> str:
        """Return the token of the page after a position; empty if there is no position."""
        return self.tokens.encode(last, query) if last else ""
