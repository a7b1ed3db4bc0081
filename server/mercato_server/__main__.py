"""The command `mercato` by the name of the server: `python -m mercato_server`."""

from mercato.cli.__main__ import main  # isort: skip - it makes the standard streams and signals usable first

import sys

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
