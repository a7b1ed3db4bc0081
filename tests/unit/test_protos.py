"""The protos as a client in another language gets them, and as buf reads them."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

import proto
from mercato.rpcs import files

GENERATE = """
version: v2
plugins:
  - protoc_builtin: python
    protoc_path: ["{python}", -m, grpc_tools.protoc]
    out: {out}
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("protos")
    proto.export(directory)
    return directory


def buf(*arguments: str | Path, cwd: Path) -> str:
    command = [Path(sys.executable).parent / "buf", *arguments]
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_exported_protos_compile_without_any_other_directory(exported: Path, tmp_path: Path) -> None:
    sources = [str(path.relative_to(exported)) for path in exported.rglob("*.proto")]
    compiled = tmp_path / "compiled.binpb"
    command: list[str | Path] = [proto.COMPILER, "-I", "-m", "grpc_tools.protoc", "-I.", f"--descriptor_set_out={compiled}", *sources]
    subprocess.run(command, cwd=exported, check=True)
    compiled_files = {file.name for file in FileDescriptorSet.FromString(compiled.read_bytes()).file}
    assert compiled_files >= {file.name for file in (*files(), error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR)}


def test_buf_lints_and_generates_from_exported_protos(exported: Path, tmp_path: Path) -> None:
    template = tmp_path / "buf.gen.yaml"
    template.write_text(GENERATE.format(python=proto.COMPILER, out=tmp_path))
    assert buf("lint", cwd=exported) == ""
    buf("generate", "--template", template, cwd=exported)
    assert {path.name for path in tmp_path.glob("mercato/v1/*.py")} == {Path(file.name).stem + "_pb2.py" for file in files()}


def test_buf_lints_the_repository_and_finds_its_protos_formatted() -> None:
    proto.write_imports(proto.IMPORTS)
    assert buf("lint", cwd=proto.ROOT) == ""
    assert buf("format", "--diff", cwd=proto.ROOT) == ""
