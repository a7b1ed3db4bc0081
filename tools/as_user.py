"""Run a command as an ordinary user, as root: `as_user.py NAME COMMAND…`.

The user is made if it is absent. It sees this checkout and its Python, to be read, even if only root may enter their directories.
"""

import os
import sys
from pathlib import Path

from mercato_server.embedded import accounts, programs
from mercato_server.embedded.privileges import become
from mercato_server.embedded.processes import EmbeddedError

ROOT = Path(__file__).parent.parent


def main(name: str, *command: str) -> None:
    """Replace this process by the command."""
    try:
        account = accounts.find_or_make(name)
        view = programs.view(account, (ROOT, Path(sys.base_prefix)))
    except EmbeddedError as error:
        raise SystemExit(f"as_user: {error}") from None
    become(account, view, binds_low_ports=False)
    os.chdir(ROOT)
    os.execvpe(command[0], command, os.environ | {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"})  # noqa: S606 - the caller's


if __name__ == "__main__":
    main(*sys.argv[1:])
