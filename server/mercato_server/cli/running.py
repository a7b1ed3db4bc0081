"""Where the data of a command lives, where its output goes, and how its coroutine runs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TypeVar

import typer

from mercato_server.config import settings as config

if TYPE_CHECKING:
    from mercato_server.database.pool import Pool

Result = TypeVar("Result")

DataDir = Annotated[Path | None, typer.Option(help="Where data lives. Default: ~/.local/share/mercato, for root /var/lib/mercato.")]

SpreadsheetSafe = Annotated[bool, typer.Option("--spreadsheet-safe", help="Cells that a spreadsheet would run have an apostrophe before.")]


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@asynccontextmanager
async def database_url(data_dir: Path | None) -> AsyncIterator[str]:
    """Yield DATABASE_URL, or the URL of a data directory of `mercato up`, whose database runs during the block."""
    from mercato_server.embedded.database import database

    if data_dir is None and (url := config.optional_database_url()):
        yield url
        return
    async with database(data_dir or Path(config.data_home(), "mercato")) as url:
        yield url


@asynccontextmanager
async def migrated_pool(url: str) -> AsyncIterator["Pool"]:
    """Yield a pool of one connection to a database; raises SchemaError unless it has the schema of this release."""
    from mercato_server.database import migrations
    from mercato_server.database.pool import small_pool

    async with small_pool(url) as pool:
        async with pool.acquire() as conn:
            await migrations.require(conn)
        yield pool


@asynccontextmanager
async def shop_pool(data_dir: Path | None) -> AsyncIterator["Pool"]:
    """Yield a pool of one connection to DATABASE_URL or to the database of a data directory; raises SchemaError as `migrated_pool`."""
    async with database_url(data_dir) as url, migrated_pool(url) as pool:
        yield pool


@contextmanager
def output(path: Path | None, *, private: bool = False) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that appears at its path once the block has ended without an error.

    Only its owner may read a private one.
    """
    if path is None:
        yield sys.stdout.buffer
        return
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    new = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)  # never through a link of another user
    with os.fdopen(new, "wb") as file:
        yield file
    unfinished.replace(path)
