"""The database of a data directory, whether `mercato up` runs on it or not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.processes import DirectoryInUseError, EmbeddedError


@asynccontextmanager
async def database(data_dir: Path) -> AsyncIterator[str]:
    """Lend the URL of a data directory's database: of the server that runs there, or of one that is started for the block.

    Raises EmbeddedError if there is no database, or if it cannot start.
    """
    if not (data_dir / "postgres").exists():
        raise EmbeddedError(f"there is no database in {data_dir}; `mercato up` makes one")
    server = Postgres(data_dir)
    try:
        with suppress(DirectoryInUseError):
            await server.start()
        yield server.url()
    finally:
        await server.stop()
