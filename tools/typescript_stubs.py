"""The messages and services of clients/typescript, by protoc-gen-es from protos/ without their options.

The options would add a third to a browser's download; the client takes what it needs of them from `rules.ts`.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

import proto
from typescript_rules import GENERATED, HEAD

PLUGIN = Path(__file__).parent.parent / "clients/typescript/node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es"
ONLY_OPTIONS = ("mercato/v1/policy.proto", "mercato/v1/reasons.proto", "google/protobuf/descriptor.proto", "google/rpc/code.proto")
"""Files that nothing but options needs, as those of google/api do but HttpBody."""


def needed(name: str) -> bool:
    """Return whether a file is needed without the options."""
    return name not in ONLY_OPTIONS and (not name.startswith("google/api/") or name == "google/api/httpbody.proto")


def stripped(file: FileDescriptorProto) -> FileDescriptorProto:
    """Return a file without options and without the files that only they need."""
    bare = FileDescriptorProto()
    bare.CopyFrom(file)
    bare.ClearField("options")
    bare.dependency[:] = [name for name in file.dependency if needed(name)]
    for service in bare.service:
        service.ClearField("options")
        for method in service.method:
            method.ClearField("options")
    for message in messages(bare.message_type):
        if not message.options.map_entry:
            message.ClearField("options")
        for field in message.field:
            field.ClearField("options")
            field.ClearField("json_name")  # the same as the plugin's own
    for enum in enums(bare):
        enum.ClearField("options")
        for value in enum.value:
            value.ClearField("options")
    return bare


def messages(those: Iterable[DescriptorProto]) -> Iterator[DescriptorProto]:
    """Yield messages and those within them."""
    for message in those:
        yield message
        yield from messages(message.nested_type)


def enums(file: FileDescriptorProto) -> Iterator[EnumDescriptorProto]:
    """Yield the enums of a file, those within messages too."""
    yield from file.enum_type
    for message in messages(file.message_type):
        yield from message.enum_type


def stubs() -> dict[str, str]:
    """Return the content of each stub by its path; raises CalledProcessError."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as descriptors:
        options = ("--include_imports", "--include_source_info", f"--descriptor_set_out={descriptors.name}")
        proto.protoc(*options, *proto.DETAILS)
        files = FileDescriptorSet.FromString(Path(descriptors.name).read_bytes()).file
    bare = [file if file.name.startswith("google/protobuf/") else stripped(file) for file in files if needed(file.name)]
    wanted = [file.name for file in bare if not file.name.startswith("google/protobuf/")]
    request = CodeGeneratorRequest(file_to_generate=wanted, parameter="target=ts,import_extension=js", proto_file=bare)
    done = subprocess.run([shutil.which("node") or "node", PLUGIN], input=request.SerializeToString(), capture_output=True, check=True)
    response = CodeGeneratorResponse.FromString(done.stdout)
    if response.error:
        raise ValueError(response.error)
    return {file.name: file.content for file in response.file}


def generated() -> dict[Path, str]:
    """Return the content of each generated file; of none, with a message, where Node or the plugin is absent."""
    if not (shutil.which("node") and PLUGIN.exists()):
        print("the TypeScript stubs are neither written nor checked; first run: make typescript", file=sys.stderr)
        return {}
    made = stubs()
    ours = sorted(name for name in made if name.startswith("mercato/"))
    index = HEAD + "".join(f'export * from "./{name.removesuffix(".ts")}.js";\n' for name in ours)
    return {GENERATED / name: text for name, text in made.items()} | {GENERATED / "messages.ts": index}
