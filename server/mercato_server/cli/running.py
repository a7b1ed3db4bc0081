"""Where the data of a command lives, and how its coroutine runs."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mercato_server.config import settings as config

Result = TypeVar("Result")

DataDir = Annotated[Path | None, typer.Option(help="Where data lives. Default: ~/.local/share/mercato, for root /var/lib/mercato.")]


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
