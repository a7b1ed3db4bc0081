"""The commands of `mercato`, as an operator runs them at a terminal, and what they leave in the database."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg

from mercato_server.store.verify import verify

Mercato = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a command with arguments."""


def environ(database: str) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH", "MERCATO_PICTURES_URL", "MERCATO_PUBLIC_URL") if name in os.environ},
        "DATABASE_URL": database,
    }


def put(file: Path, content: str | bytes) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


async def sound(database: str) -> bool:
    """Tell whether `verify` finds nothing wrong."""
    connection = await asyncpg.connect(database)
    try:
        return not any(finding.violations for finding in await verify(connection))
    finally:
        await connection.close()


async def fetch(database: str, statement: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
