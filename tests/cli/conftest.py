"""Fixtures of the tests of commands that read or write a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.commands import Mercato, environ
from support.forked_commands import Commands

if TYPE_CHECKING:
    import subprocess


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs commands without a start of Python for each of them."""
    commands = Commands()
    yield commands
    commands.close()


@pytest.fixture
def mercato(commands: Commands, tmp_path: Path, database: str) -> Mercato:
    """Run the command in its own directory."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return commands.run(arguments, environ(database), tmp_path)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "products.csv"
