"""Resolve the dependencies of pyproject.toml into hash-pinned requirement files that name no registry."""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "clients/python/pyproject.toml"
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
NEWEST = tuple(f"--upgrade-package={name}" for name in ("grpcio", "protobuf", "googleapis-common-protos"))
"""The packages of the client follow their releases, so that its tests run with the newest ones."""
LOCKS = {
    "dev": ("pyproject.toml", "--extra=embedded", "--extra=tracing", "--group=dev", *NEWEST),
    "embedded": ("pyproject.toml", "--extra=embedded", *AS_IN_DEV),
    "server": ("pyproject.toml", *AS_IN_DEV),
    "tracing": ("pyproject.toml", "--extra=tracing", *AS_IN_DEV),
    "peer": ("--group=peer", *AS_IN_DEV),
    "generators": ("--group=generators",),
    "patroni": ("--group=patroni",),
    "docs": ("--group=docs",),
    "stubs": ("--group=stubs",),
    "build": ("--group=build", *AS_IN_DEV),
}
OLDEST = ("pyproject.toml", "--extra=embedded", "--extra=tracing", "--group=build", "--group=tests")
GRPC_ADDONS = ("grpcio-health-checking", "grpcio-reflection")
"""Packages of the server that need a grpcio of their own version."""


def main() -> int:
    """Write requirements/*.txt; the smaller ones take their versions from dev.txt."""
    for name, options in LOCKS.items():
        compile_into(name, *options)
    with tempfile.TemporaryDirectory() as directory:
        others, floors = Path(directory) / "others.txt", Path(directory) / "floors.txt"
        pins = oldest()
        floors.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        kept = (line for line in pinned(ROOT / "requirements/dev.txt") if line.partition("==")[0] not in pins)
        others.write_text("".join(f"{line}\n" for line in kept))
        compile_into("oldest", *OLDEST, "--no-annotate", "--constraint", str(others), "--override", str(floors))
    return 0


def compile_into(name: str, *options: str) -> None:
    """Write one of the files; raises CalledProcessError after uv has printed why it cannot."""
    subprocess.run([*COMPILE, *options, "--output-file", f"requirements/{name}.txt"], cwd=ROOT, check=True)


def oldest() -> dict[str, str]:
    """Return the oldest versions of packages that the client takes, and those of the server's that belong to them."""
    declared = tomllib.loads(CLIENT.read_text())["project"]["dependencies"]
    floors: dict[str, str] = {}
    for each in declared:
        name, floor, *_ = re.split(">=|,", each)
        floors[name] = floor
    return floors | dict.fromkeys(GRPC_ADDONS, floors["grpcio"])


def pinned(path: Path) -> Iterator[str]:
    """Yield the requirements of a requirement file, without hashes and comments."""
    for line in path.read_text().splitlines():
        if line[:1].isalnum():
            yield line.removesuffix("\\").rstrip()


if __name__ == "__main__":
    sys.exit(main())
