"""Lists of calls, read to their end."""

from collections.abc import Awaitable, Callable
from typing import Any

from support.shop import Person


async def every(
    rpc: Callable[..., Awaitable[Any]], request_type: Callable[..., Any], person: Person, size: int = 2, **query: Any
) -> list[Any]:
    """Return the rows of a whole list, read in pages of at most `size` rows."""
    found: list[Any] = []
    token = ""
    while True:
        page = await rpc(request_type(page_size=size, page_token=token, **query), metadata=person.metadata)
        rows = getattr(page, page.DESCRIPTOR.fields[0].name)
        assert len(rows) <= size
        found += rows
        if not (token := page.next_page_token):
            return found
