"""Run the quick tests with the newer Pythons at hand, each in a clone of this checkout's last commit, with a .venv of its own.

A Python is at hand if it is on the PATH, or if pyenv has installed it. Without one, this tells so and succeeds.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLONES = ROOT / ".venv/pythons"
NEWEST, OLDEST = 14, 12
"""Minor versions of Python 3; all tests run with 3.11."""


def main() -> int:
    """Run from the command line; returns 1 if tests fail with a Python."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--newest", action="store_true", help="only with the newest one")
    is_newest = parser.parse_args().newest
    found = list(at_hand())
    if not found:
        print(f"no Python 3.{OLDEST} to 3.{NEWEST} is at hand")
    failed = [python for python in found[: 1 if is_newest else None] if not passes(python)]
    for python in failed:
        print(f"tests fail with {python}")
    return 1 if failed else 0


def at_hand() -> Iterator[str]:
    """Yield the Pythons that can make a .venv, the newest first and one of each minor version."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    for minor in range(NEWEST, OLDEST - 1, -1):
        name = f"python3.{minor}"
        candidates = [shutil.which(name), *map(str, pyenv.glob(f"versions/3.{minor}.*/bin/{name}"))]
        if python := next((each for each in candidates if each and can_make_a_venv(each)), None):
            yield python


def can_make_a_venv(python: str) -> bool:
    """Return whether a Python starts and has its modules; a shim of pyenv may not."""
    return subprocess.run([python, "-c", "import ensurepip, ssl"], capture_output=True, check=False).returncode == 0


def passes(python: str) -> bool:
    """Run the quick tests with a Python; return whether they pass."""
    clone = CLONES / Path(python).name
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "-c", "advice.detachedHead=false", "clone", "--quiet", ROOT, clone], check=True)  # noqa: S607 - from the PATH
    print(f"the quick tests with {python}", flush=True)
    quick = ["make", "-C", str(clone), f"PYTHON={python}", "ARGS=", "quick"]  # make hands its own ARGS on
    return subprocess.run(quick, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
