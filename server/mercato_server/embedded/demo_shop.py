"""The demo shop of `mercato up`: loads what the database lacks of it, and has a process store the files of its pictures."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from mercato_server.embedded import programs
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.processes import Command, EmbeddedError, Process

STORE_TIMEOUT_S = 60.0


async def load(postgres: Postgres, currency: str, environ: Mapping[str, str], log: Path) -> None:
    """Add what the shop lacks of the demo shop; raises EmbeddedError if its pictures cannot be stored.

    The environment is that of the workers, which tells where pictures are.
    """
    from mercato_server import demo
    from mercato_server.demo.goods import goods
    from mercato_server.demo.prices import prices
    from mercato_server.store.demo import Additions
    from mercato_server.store.demo import load as add

    async def store() -> None:
        await _store(postgres, environ, log)

    await add(postgres.url(), currency, *demo.catalog(), prices(), Additions(goods(), store))


async def _store(postgres: Postgres, environ: Mapping[str, str], log: Path) -> None:
    """Store the pictures as the user of the workers, who must own the files."""
    process = Process(
        Command(
            name="the demo shop's pictures",
            argv=[sys.executable, "-P", "-m", "mercato_server.pictures.demo_files"],
            environ=environ,
            output=log,
            account=postgres.account,
            view=programs.view(postgres.account, programs.python_directories()),
        )
    )
    await process.start()
    try:
        code = await asyncio.wait_for(process.wait(), STORE_TIMEOUT_S)
    except TimeoutError:
        raise EmbeddedError(f"{process.name} were not stored within {STORE_TIMEOUT_S:.0f} s") from None
    finally:
        await process.stop()
    if code:
        raise process.failure()
