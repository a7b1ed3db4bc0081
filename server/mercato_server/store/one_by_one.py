"""Batches of background work, in which one broken row hinders no other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from mercato_server.database.pool import refusal

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


async def one_by_one(ids: Sequence[UUID], work: Callable[[Sequence[UUID]], Awaitable[Result]]) -> list[Result]:
    """Work on rows together, or on each by itself if that fails; return the results.

    A row on which the work fails alone is logged and left. Raises only if the database is unavailable or busy.
    """
    if not ids:
        return []
    try:
        return [await work(ids)]
    except Exception as error:
        if refusal(error) is not None:
            raise
        if len(ids) == 1:
            log.exception("an order cannot be worked on", order=str(ids[0]))
            return []
    return [result for each in ids for result in await one_by_one([each], work)]
