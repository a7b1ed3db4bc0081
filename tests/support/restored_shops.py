"""A shop whose database is set back: a copy of an earlier time, as a restore to a point in time leaves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mercato_server.database.pool import Pool, create_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import restores
from support.databases import copied, create, execute
from support.shop import settings_of


class PastShop:
    """A database, and the copy of it that a restore brings back."""

    def __init__(self, server: Postgres, url: str) -> None:
        self.url = url
        self.copied_at = datetime.now(UTC)
        self._server = server
        self._copy = f"{_name(url)}_past"

    async def copy(self) -> None:
        """Copy the database as it is now. Nothing may be connected to it."""
        self.copied_at = datetime.now(UTC)
        self.restored = await create(self._server, self._copy, _name(self.url))

    async def drop(self) -> None:
        await execute(self._server, f'DROP DATABASE IF EXISTS "{self._copy}" WITH (FORCE)')

    async def mark(self) -> None:
        """Mark the copy as a shop with a payment provider that was restored to the time of the copy."""
        await restores.restored(self.restored, self.copied_at, takes_payments=True)


@asynccontextmanager
async def past_shop(server: Postgres) -> AsyncIterator[PastShop]:
    """Yield a new shop."""
    async with copied(server) as url:
        shop = PastShop(server, url)
        try:
            yield shop
        finally:
            await shop.drop()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Pool"]:
    """Yield a pool of a worker to a database."""
    pool = await create_pool(settings_of(url))
    try:
        yield pool
    finally:
        pool.terminate()


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]
