"""The entry point of the command `mercato`."""

from mercato_server.cli import surroundings  # isort: skip - before anything that takes time to load

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    surroundings.open_standard_streams()
    from mercato_server.cli import commands

    surroundings.heed_interrupts()
    return commands.main()


if __name__ == "__main__":
    sys.exit(main())
