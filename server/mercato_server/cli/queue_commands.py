"""`mercato jobs`, and the consumers of `mercato events`: the state of queues, and jobs that were given up."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mercato_server.cli.running import DataDir, run, shop_pool
from mercato_server.domain.accounts import COMMAND_LINE

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = 1


def jobs(
    held: Annotated[bool, typer.Option("--held", help="Print the jobs that were given up.")] = False,
    retry: Annotated[int | None, typer.Option(help="Queue the held job of this id again.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print the queues of jobs, one JSON object a line: how many are queued, running and held, and how long the oldest has waited.

    With --held print the jobs whose handler has given up; the log of the worker has the reason. With --retry ID a worker runs such a job
    again within a second. The audit log records the retry.
    """
    if held and retry is not None:
        raise typer.BadParameter("choose one of --held and --retry")
    if retry is not None:
        if not run(_retry(data_dir, retry)):
            typer.echo(f"mercato: there is no held job {retry}; list them with: mercato jobs --held", err=True)
            raise typer.Exit(ABSENT)
        typer.echo(f"job {retry} is queued again")
        return
    _print(run(_read(data_dir, held=held)))


async def print_consumers(data_dir: "Path | None" = None) -> None:
    """Write the consumers of the change feed to standard output, a JSON object a line."""
    from mercato_server.store import queue_states

    async with shop_pool(data_dir) as pool:
        _print(await queue_states.consumers(pool))


async def _read(data_dir: "Path | None", *, held: bool) -> Sequence[Any]:
    from mercato_server.store import queue_states

    async with shop_pool(data_dir) as pool:
        return await (queue_states.held(pool) if held else queue_states.queues(pool))


async def _retry(data_dir: "Path | None", id_: int) -> bool:
    from mercato_server.store import queue_states

    async with shop_pool(data_dir) as pool:
        return await queue_states.retry(pool, id_, COMMAND_LINE)


def _print(rows: Sequence[Any]) -> None:
    for row in rows:
        sys.stdout.write(json.dumps(asdict(row), default=_text) + "\n")


def _text(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
