"""Fixtures for data directories that PostgreSQL may enter, and for supervisors that tests kill."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from embedded.watch import children, gone
from support import needs
from support.patience import until_sync

Run = Callable[..., "subprocess.Popen[str]"]


@dataclass(frozen=True)
class Person:
    """The interpreter, environment and options to run Python as a user."""

    python: str
    environ: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that other users may enter: pytest's are closed to all but root, and for root PostgreSQL runs as another user."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-test-"))
    directory.chmod(0o711)
    yield directory
    until_sync(lambda: removed(directory), despite=OSError)


def removed(directory: Path) -> bool:
    """Remove a directory; raises OSError if a program that a killed initdb had started still writes there."""
    shutil.rmtree(directory)
    return True


@pytest.fixture
def run() -> Iterator[Run]:
    """Start Python; at the end of the test its process and all its descendants are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(
        *arguments: object, person: Person | None = None, environ: dict[str, str] | None = None, options: dict[str, Any] | None = None
    ) -> "subprocess.Popen[str]":
        person = person or Person(sys.executable)
        process: subprocess.Popen[str] = subprocess.Popen(
            [person.python, *map(str, arguments)],
            env=os.environ | person.environ | (environ or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **(options or person.options),
        )
        started.append(process)
        return process

    yield start
    families = [children(process.pid) for process in started]
    for process in started:
        with process:
            process.kill()
    until_sync(lambda: all(map(gone, set().union(*families))))


@pytest.fixture(scope="session")
def ordinary_person() -> Person:
    """A user without privileges who can run this Python, or the system's Python with our packages."""
    if os.geteuid() != 0:
        return Person(sys.executable)
    user = pwd.getpwnam("nobody")
    environ = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path and not path.startswith(sys.base_prefix))}
    options: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-c", "import asyncpg, grpc, mercato_server"]
        try:
            subprocess.run(command, check=True, capture_output=True, env=os.environ | environ, **options)
        except (OSError, subprocess.CalledProcessError):
            continue
        return Person(python, environ, options)
    return needs.ORDINARY_PYTHON.skip()
