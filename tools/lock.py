"""Resolve the dependencies of pyproject.toml into hash-pinned requirement files that name no registry."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILE = (
    "uv",
    "pip",
    "compile",
    "--quiet",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--no-emit-package=mercato-client",  # that of this checkout
    "--universal",
    "--python-version=3.11",
)
AS_IN_DEV = ("--constraint", "requirements/dev.txt")
LOCKS = {
    "dev": ("pyproject.toml", "--extra=embedded", "--extra=tracing", "--group=dev"),
    "embedded": ("pyproject.toml", "--extra=embedded", *AS_IN_DEV),
    "server": ("pyproject.toml", *AS_IN_DEV),
    "tracing": ("pyproject.toml", "--extra=tracing", *AS_IN_DEV),
    "peer": ("--group=peer", *AS_IN_DEV),
    "generators": ("--group=generators",),
    "patroni": ("--group=patroni",),
    "stubs": ("--group=stubs",),
    "build": ("--group=build", *AS_IN_DEV),
}


def main() -> int:
    """Write requirements/*.txt; the smaller ones take their versions from dev.txt."""
    for name, options in LOCKS.items():
        subprocess.run([*COMPILE, *options, "--output-file", f"requirements/{name}.txt"], cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
