"""The control socket of a supervisor: one request line, JSON lines as the answer; only the supervisor's user can open it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mercato_server.config.environment import ConfigError
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.processes import EmbeddedError

RELOAD = b"reload\n"
REQUEST_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 8

Tell = Callable[[int, int], None]
"""Called with the number of replaced workers, and of all workers."""
Reload = Callable[[Tell], Awaitable[None]]


def socket_path(data_dir: Path) -> Path:
    """Return where the supervisor of a data directory listens."""
    return Postgres(data_dir).run_dir / "control.sock"


@asynccontextmanager
async def listening(path: Path, reload: Reload) -> AsyncIterator[None]:
    """Serve commands during a block; commands that still run at its end are cancelled."""
    async with asyncio.TaskGroup() as group:
        serving: set[asyncio.Task[None]] = set()

        def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(serving) >= CONNECTIONS_MAX:
                writer.close()
                return
            task = group.create_task(_serve(reader, writer, reload))
            serving.add(task)
            task.add_done_callback(serving.discard)

        server = await asyncio.start_unix_server(on_connection, path, limit=len(RELOAD))
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - a system call
            for task in serving:
                task.cancel()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reload: Reload) -> None:
    """Execute a command, even if the client closes the connection before the answer."""

    def say(**message: object) -> None:
        if not writer.is_closing():
            writer.write(json.dumps(message).encode() + b"\n")

    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            request = await reader.readline()
        if request != RELOAD:
            return
        await reload(lambda replaced, of: say(replaced=replaced, of=of))
        say(done=True)
    except (EmbeddedError, ConfigError) as error:
        say(error=str(error))
    except (OSError, ValueError):  # ValueError: a line that is too long
        pass
    finally:
        writer.close()


async def ask_to_reload(data_dir: Path, tell: Tell) -> None:
    """Make the supervisor of a data directory replace all its workers; raises EmbeddedError unless it did."""
    not_running = EmbeddedError(f"no `mercato up` that is ready runs on {data_dir}; name its directory with --data-dir")
    try:
        reader, writer = await asyncio.open_unix_connection(socket_path(data_dir))
    except (FileNotFoundError, ConnectionRefusedError):
        raise not_running from None
    except PermissionError:
        raise EmbeddedError(f"{data_dir} belongs to another user; run this as the one who runs its `mercato up`") from None
    try:
        writer.write(RELOAD)
        async for line in reader:
            message = json.loads(line)
            if "error" in message:
                raise EmbeddedError(message["error"])
            if "done" in message:
                return
            tell(message["replaced"], message["of"])
    except ConnectionError:
        pass
    finally:
        with contextlib.suppress(OSError):
            writer.close()
    raise EmbeddedError(f"the `mercato up` on {data_dir} ended, or had too much to do, before it had replaced all workers")
