"""Generate the Python stubs, their types, and the OpenAPI document from protos/.

`--check` generates into a temporary directory instead and fails if the committed files differ. `--release` writes
protos/released.binpb instead: the protos that `make check` compares later ones with. `--export DIR` writes protos that compile by
themselves, for clients in other languages. `--imports` writes those that buf.yaml needs beside ours.
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).parent.parent
SITE = sysconfig.get_path("purelib")  # googleapis-common-protos keeps google/api and google/rpc there
PROTOS = sorted(str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto"))
STUBS = Path("clients/python/mercato/v1")
OPENAPI = Path("server/mercato_server/edge/openapi.json")
RELEASED = Path("protos/released.binpb")
DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
"""The messages of our errors, which no proto of ours imports."""
COMPILER = ROOT / ".venv/stubs/bin/python"
"""The Python with the compiler: older than ours, because the stubs refuse packages that are older than their compiler."""
IMPORTS = ROOT / ".venv/protos"
"""The protos of others that ours import, for buf: it reads no installed package. buf.yaml names this directory."""


def protoc(*options: str) -> None:
    """Run protoc on our protos, and on those among the options; raises CalledProcessError after protoc has printed the error."""
    command = [str(COMPILER), "-m", "grpc_tools.protoc", "-Iprotos", f"-I{SITE}", *options, *PROTOS]
    subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.PIPE if "--mypy_out" in str(options) else None)


def write_imports(into: Path, *others: str) -> None:
    """Copy the protos that ours and `others` import into a directory, and `others`; every compiler brings google/protobuf itself."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as descriptors:
        protoc("--include_imports", f"--descriptor_set_out={descriptors.name}", *others)
        files = FileDescriptorSet.FromString(Path(descriptors.name).read_bytes()).file
    for file in files:
        if file.name not in PROTOS and not file.name.startswith("google/protobuf/"):
            copy(Path(SITE) / file.name, into / file.name)


def export(into: Path) -> None:
    """Write our protos, those of error details, what both import, and the rules of `buf lint`: a directory that compiles by itself."""
    for name in PROTOS:
        copy(ROOT / "protos" / name, into / name)
    write_imports(into, *DETAILS)
    rules = (ROOT / "buf.yaml").read_text().partition("\nlint:")[2]
    (into / "buf.yaml").write_text("version: v2\nlint:" + rules.replace(".venv/protos/", "").replace("protos/", ""))


def copy(source: Path, target: Path) -> None:
    """Copy a file, and make the directories above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def generate(into: Path) -> None:
    """Write all generated files below a directory."""
    python = into / "clients/python"
    python.mkdir(parents=True, exist_ok=True)
    protoc(f"--python_out={python}", f"--grpc_python_out={python}", f"--mypy_out={python}", f"--mypy_grpc_out={python}")
    (into / STUBS / "__init__.py").write_text('"""Messages and stubs generated from protos/mercato/v1; never edited."""\n')
    (into / OPENAPI).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".binpb") as descriptors:
        protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={descriptors.name}")
        command = [sys.executable, "-m", "mercato_server.edge.openapi", descriptors.name, str(into / OPENAPI)]
        subprocess.run(command, cwd=ROOT, check=True)


def differing(fresh: Path) -> list[str]:
    """Name the generated files that differ from fresh ones, including stale files."""
    made = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    kept = {path.relative_to(ROOT) for path in (ROOT / STUBS).iterdir() if path.is_file()} | {OPENAPI}
    return sorted(
        str(path)
        for path in made | kept
        if not ((ROOT / path).exists() and (fresh / path).exists() and filecmp.cmp(ROOT / path, fresh / path, shallow=False))
    )


def check() -> int:
    """Name the committed files that differ from generated ones; return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        stale = differing(Path(directory))
    for path in stale:
        print(f"{path} is not what protos/ gives; run: make proto", file=sys.stderr)
    return 1 if stale else 0


def main() -> int:
    """Generate, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a committed file differs")
    parser.add_argument("--release", action="store_true", help="write protos/released.binpb from the protos, and nothing else")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write the protos and what they import to DIR, and nothing else")
    parser.add_argument("--imports", action="store_true", help=f"write the imports to {IMPORTS.relative_to(ROOT)}, and nothing else")
    arguments = parser.parse_args()
    if arguments.release:
        protoc("--include_imports", f"--descriptor_set_out={RELEASED}")
    elif arguments.export:
        export(arguments.export)
    elif arguments.imports:
        write_imports(IMPORTS)
    elif arguments.check:
        return check()
    else:
        shutil.rmtree(ROOT / STUBS, ignore_errors=True)
        generate(ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
