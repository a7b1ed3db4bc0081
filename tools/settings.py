"""Write docs/settings.md, the table of all settings, from their descriptions in the code."""

import sys
from pathlib import Path

from mercato_server.config.secret_files import SUFFIX, VARIABLES
from mercato_server.config.variables import Reader, Variable

PAGE = Path(__file__).parent.parent / "docs/settings.md"
HEAD = f"""# Settings

`make settings` writes this page from [config/](../server/mercato_server/config), which alone reads the environment.

All settings are environment variables. `mercato up --env-file FILE` also reads them from a file of NAME=VALUE lines, and
`mercato reload` reads that file again. A value that makes no sense is refused at the start, and the message names its
variable.

**Secrets** may come from files, as Docker and Kubernetes provide them. NAME{SUFFIX} then has the path of the file with the
value of NAME, for example `SECRET_KEY{SUFFIX}=/run/secrets/secret_key`. Line ends at the end of the file do not count. The
process reads the file once, at its start. It refuses to start if both NAME and NAME{SUFFIX} are set, or if the file cannot
be read, is empty, or has more than 64 KiB. The column "secret" has the variables for which this works.

**Readers** are `worker` (`mercato serve`), `edge` (`mercato edge` and `mercato envoy-config`), `up` (`mercato up` itself,
which also passes settings to its workers and its edge) and `commands` (all commands that use the database or a data
directory).

| variable | default | meaning | read by | secret |
|---|---|---|---|---|
"""


def row(variable: Variable) -> str:
    """Return the row of a variable."""
    default = variable.note or (f"`{variable.default}`" if variable.default else "none")
    readers = ", ".join(reader.value for reader in Reader if reader in variable.readers)
    return f"| `{variable.name}` | {default} | {variable.meaning} | {readers} | {'yes' if variable.secret else ''} |\n"


def page() -> str:
    """Return the text of the page."""
    return HEAD + "".join(row(variable) for variable in VARIABLES)


def main() -> int:
    """Write the page; with `--check` only tell whether it is up to date."""
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print("docs/settings.md is stale; run: make settings")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
