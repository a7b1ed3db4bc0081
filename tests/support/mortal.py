"""Migrate one database after the other in processes that are killed after the first statement, after the second, and so on.

Arguments: a directory of migrations, and URLs. It prints how the process of each URL ended.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from mercato_server.database import migrations


async def migrate(url: str, files: list[Path], life: int) -> None:
    """Migrate, and kill this process once PostgreSQL has answered `life` statements."""
    connect, answered = asyncpg.connect, 0

    def count(_query: object) -> None:
        nonlocal answered
        answered += 1
        if answered == life:
            os.kill(os.getpid(), signal.SIGKILL)

    async def observed(*args: Any, **kwargs: Any) -> Any:
        connection = await connect(*args, **kwargs)
        connection.add_query_logger(count)
        return connection

    asyncpg.connect = observed
    await migrations.migrate(url, files)


def main() -> None:
    """Fork a process for each URL; the parent has no thread and no event loop."""
    directory, *urls = sys.argv[1:]
    files = sorted(Path(directory).glob("*.sql"))
    for life, url in enumerate(urls, 1):
        pid = os.fork()
        if pid == 0:
            asyncio.run(migrate(url, files, life))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
