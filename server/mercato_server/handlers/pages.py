"""The page fields that every list request has (AIP-158)."""

from dataclasses import dataclass
from typing import Protocol

from mercato_server.config.settings import Limits
from mercato_server.domain.paging import Page, PageTokens, Position
from mercato_server.validation.checks import Checks


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

    def next_token(self, last: Position | None, query: str) -> str:
        """Return the token of the page after a position; empty if there is no position."""
        return self.tokens.encode(last, query) if last else ""
