"""What the kernel says about processes."""

import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 30.0


def children(pid: int) -> set[int]:
    """Return the process's descendants that are alive."""
    found = {int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()}
    return found.union(*map(children, found))


def gone(pid: int) -> bool:
    """Tell whether the process has ended; nobody may ever reap an orphan in a container, so a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def name(pid: int) -> str:
    """Return the name of the process's program."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def owner(pid: int) -> int:
    """Return the user id that the process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def program(pid: int) -> Path:
    """Return the file that the process was started from."""
    return Path(Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0])


def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; fail after a while."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
