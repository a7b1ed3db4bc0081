"""Access to the database and the secret of a data directory, whether or not `mercato up` runs on it."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mercato_server.config.settings import drop_libpq_variables, optional_secret_key
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.processes import DirectoryInUseError, EmbeddedError


@asynccontextmanager
async def database(data_dir: Path) -> AsyncIterator[str]:
    """Yield the URL of a data directory's database; starts its server for the block unless it runs.

    Raises EmbeddedError if there is no database, or if it cannot start.
    """
    if not (data_dir / "postgres").exists():
        raise EmbeddedError(f"there is no database in {data_dir}; `mercato up` makes one")
    drop_libpq_variables()
    server = Postgres(data_dir)
    try:
        with suppress(DirectoryInUseError):
            await server.start()
        yield server.url()
    finally:
        await server.stop()


def secret_key(data_dir: Path, env: Mapping[str, str] | None = None) -> str:
    """Return SECRET_KEY, or the key of this data directory; it is created once, so that sessions survive a restart."""
    if given := optional_secret_key(env):
        return given
    path = data_dir / "secret_key"
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    return path.read_text().strip()
