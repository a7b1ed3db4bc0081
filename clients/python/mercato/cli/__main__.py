"""The entry point of the command `mercato`."""

from mercato.cli import surroundings  # isort: skip - before anything that takes time to load

import gc
import importlib.util
import sys

GARBAGE_MAX = 10_000
"""New objects after which Python's garbage collector runs. Its default of 700 makes it search the modules while they load."""


def main() -> int:
    """Run the command line; returns the exit code."""
    surroundings.open_standard_streams()
    if any(importlib.util.find_spec(name) is None for name in ("rich", "typer")):
        sys.stderr.write("mercato: the command line needs more packages: pip install 'mercato-client[cli]'\n")
        return 2
    gc.set_threshold(GARBAGE_MAX)
    from mercato.cli import program

    surroundings.heed_interrupts()
    try:
        return program.main()
    finally:
        gc.freeze()  # the end of the process frees the modules; the interpreter would search them all several times


if __name__ == "__main__":
    sys.exit(main())
