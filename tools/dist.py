"""Build the packages of a release into a directory: wheels and source archives of client and server, and the npm package.

The same sources give the same bytes. An npm package needs `make typescript` first; without npm it is left out, and that is told.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECTS = (ROOT / "clients/python", ROOT)
"""The Python packages: those who depend on others come later."""
TYPESCRIPT = ROOT / "clients/typescript"
EPOCH = "1577836800"
"""Seconds since 1970 that the archives give as the time of each file: 2020-01-01."""


def python_packages(into: Path, *projects: Path) -> None:
    """Build a wheel and a source archive of each project; raises CalledProcessError after the builder has printed why it cannot."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    for project in projects:
        subprocess.run([sys.executable, "-m", "hatchling", "build", "--directory", into], cwd=project, env=env, check=True)


def npm_package(into: Path) -> Path | None:
    """Pack what `make typescript` has built; returns None where it could build nothing."""
    npm = shutil.which("npm")
    if npm is None or not (TYPESCRIPT / "dist/node.js").exists():
        return None
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(into)]
    packed = subprocess.run(command, cwd=TYPESCRIPT, check=True, stdout=subprocess.PIPE, text=True)
    return into / packed.stdout.strip()


def main() -> int:
    """Run from the command line: replace the packages in the directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / "dist", metavar="DIR")
    into: Path = parser.parse_args().into.absolute()
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    python_packages(into, *PROJECTS)
    if npm_package(into) is None:
        print("no npm package: clients/typescript is not built", file=sys.stderr)
    for path in sorted(into.iterdir()):
        print(f"{path.stat().st_size / 1000:8.1f} kB  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
