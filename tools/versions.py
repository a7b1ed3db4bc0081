"""Run the tests of the Python client with the oldest gRPC and protobuf that it takes, and with the newest.

The oldest are those of clients/python/pyproject.toml, in an environment of their own (`make versions` makes it). The newest are those of
`make test`: `make lock` takes the last releases.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = {"oldest": ROOT / ".venv/oldest", "newest": ROOT / ".venv"}
TESTS = "tests/python_client"
LEFT_OUT = ("kill", "processes", "planted")
"""Words in the names of tests that take most of the time, and do not depend on the versions of packages."""
SHOWN = "import grpc, google.protobuf; print(f'grpcio {grpc.__version__}, protobuf {google.protobuf.__version__}', flush=True)"


def passes(environment: Path) -> bool:
    """Run the tests in an environment; return whether they pass."""
    programs = environment / "bin"
    env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([str(programs / "python"), "-c", SHOWN], check=True)
    chosen = " and ".join(f"not {word}" for word in LEFT_OUT)
    command = [str(programs / "pytest"), "-n", "4", "-p", "no:cacheprovider", TESTS, "-k", chosen]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode == 0


def main() -> int:
    """Run from the command line; returns 1 if tests fail with a version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oldest", action="store_true", help="only with the oldest: `make test` runs the same tests with the newest")
    names = ["oldest"] if parser.parse_args().oldest else list(ENVIRONMENTS)
    failed = [name for name in names if not passes(ENVIRONMENTS[name])]
    for name in failed:
        print(f"tests fail with the {name} packages")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
