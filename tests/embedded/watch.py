"""Read the state of processes from the kernel."""

import contextlib
from pathlib import Path


def children(pid: int) -> set[int]:
    """Return the process's living descendants; a process that ends meanwhile may be left out."""
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
    """Return whether the process has ended. A zombie has: in a container an orphan may never be reaped."""
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
    """Return the user id of the process."""
    return Path(f"/proc/{pid}").stat().st_uid


def program(pid: int) -> Path:
    """Return the executable file of the process."""
    return Path(Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0])
