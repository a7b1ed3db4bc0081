"""Generate what the clients take from protos/: files that are committed and never edited.

`--check` changes nothing, and fails if a committed file differs.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import command_line
import errors_page
import python_errors
import python_services
import service_configs
import typescript_rules
import typescript_stubs

ROOT = Path(__file__).parent.parent
GENERATORS: tuple[Callable[[], dict[Path, str]], ...] = (
    service_configs.generated,
    python_services.generated,
    python_errors.generated,
    errors_page.generated,
    typescript_rules.generated,
    typescript_stubs.generated,
    command_line.generated,
)
"""Functions that return the content of each file that they generate."""


def main() -> int:
    """Generate, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a committed file differs")
    check = parser.parse_args().check
    files = {path: text for generated in GENERATORS for path, text in generated().items()}
    stale = {path: text for path, text in files.items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        if check:
            print(f"{path.relative_to(ROOT)} is not what protos/ gives; run: make proto", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
