"""Read the state of processes from the kernel."""

import contextlib
from pathlib import Path

_ENDED = (FileNotFoundError, ProcessLookupError)


def unless_ended() -> contextlib.AbstractContextManager[None]:
    """End the block without an error if it reads of a process that has ended: some processes of PostgreSQL live for moments."""
    return contextlib.suppress(*_ENDED)


def children(pid: int) -> set[int]:
    """Return the process's living descendants; a process that ends meanwhile may be left out."""
    found: set[int] = set()
    for thread in _threads(pid):
        with unless_ended():
            found.update(map(int, (thread / "children").read_text().split()))
    return found.union(*map(children, found))


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except _ENDED:
        return []


def gone(pid: int) -> bool:
    """Return whether the process has ended. A zombie has: in a container an orphan may never be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except _ENDED:
        return True


def name(pid: int) -> str:
    """Return the name of the process's program; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except _ENDED:
        return ""


def owner(pid: int) -> int:
    """Return the user id of the process."""
    return Path(f"/proc/{pid}").stat().st_uid


def program(pid: int) -> Path:
    """Return the executable file of the process."""
    return Path(Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0])
