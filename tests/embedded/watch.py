"""What the kernel says about processes."""

import contextlib
from pathlib import Path


def children(pid: int) -> set[int]:
    """Return the process's descendants that are alive; those that end meanwhile may be left out."""
    found: set[int] = set()
    for thread in _threads(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found.update(map(int, (thread / "children").read_text().split()))
    return found.union(*map(children, found))


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def gone(pid: int) -> bool:
    """Tell whether the process has ended; nobody may ever reap an orphan in a container, so a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def name(pid: int) -> str:
    """Return the name of the process's program; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def owner(pid: int) -> int:
    """Return the user id that the process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def program(pid: int) -> Path:
    """Return the file that the process was started from."""
    return Path(Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0])
