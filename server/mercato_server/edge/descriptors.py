"""The descriptor set of mercato.v1 for Envoy's transcoder, and REST path templates as regular expressions."""

import re

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from mercato.rpcs import files, rpcs

VARIABLE = re.compile(r"\{[^}]*\}")


def transcoded_services() -> list[str]:
    """Return the full names of the services that have REST bindings."""
    return sorted({rpc.service for rpc in rpcs() if rpc.bindings})


def descriptor_set() -> FileDescriptorSet:
    """Return the descriptors of mercato.v1, their imports and the error details, each file after its imports.

    Without google/rpc/error_details.proto the transcoder answers a rich error with an empty body.
    """
    ordered: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        ordered.setdefault(file.name, file)

    for file in (*files(), error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):
        add(file)
    result = FileDescriptorSet()
    for file in ordered.values():
        file.CopyToProto(result.file.add())
    return result


def template_regex(template: str) -> str:
    """Return the regex of the paths of a template, with or without a trailing slash and a query."""
    literals = (re.escape(part) for part in VARIABLE.split(template))
    return "[^/:?]+".join(literals) + r"/?(\?.*)?"
