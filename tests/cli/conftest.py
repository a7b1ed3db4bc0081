"""Fixtures of the tests of commands that read or write a file."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import Mercato, environ
from support.patience import patient


@pytest.fixture
def mercato(tmp_path: Path, database: str) -> Mercato:
    """Run the command in its own directory."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "mercato_server", *arguments]
        return subprocess.run(
            command, env=environ(database), capture_output=True, encoding="utf-8", check=False, timeout=patient(), cwd=tmp_path
        )

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "products.csv"
