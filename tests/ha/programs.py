"""The programs of a cluster that are not in the environment of the tests."""

import shutil
import sys
from pathlib import Path

PATRONI = Path(sys.prefix) / "patroni/bin/patroni"
"""Made by `make patroni`, beside `patronictl`."""


def find(name: str) -> str | None:
    """Return the path of a program. Debian installs some where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def require(name: str) -> str:
    """Return the path of a program, which the fixture of the cluster has found before."""
    path = find(name)
    assert path is not None
    return path
