"""The descriptor set for Envoy's transcoder, and REST path templates as regular expressions."""

import re
from collections.abc import Iterable

from google.api import annotations_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from mercato.rpcs import Rpc, files
from mercato_server.edge import probes

VARIABLE = re.compile(r"\{[^}]*\}")


def transcoded_services(rpcs: Iterable[Rpc]) -> list[str]:
    """Return the full names of the services that have REST bindings."""
    return sorted({rpc.service for rpc in rpcs if rpc.bindings})


def methods(verb: str) -> tuple[str, ...]:
    """Return the HTTP methods that a binding takes: GET also takes HEAD (RFC 9110 section 9.1)."""
    return ("GET", "HEAD") if verb == "GET" else (verb,)


def descriptor_set() -> FileDescriptorSet:
    """Return the descriptors of mercato.v1 and of the probes, their imports and the error details, each file after its imports.

    Each GET is also bound to HEAD. Without google/rpc/error_details.proto the transcoder answers a rich error with an empty body.
    """
    ordered: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        ordered.setdefault(file.name, file)

    for file in (*files(), health_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):
        add(file)
    result = FileDescriptorSet()
    for file in ordered.values():
        file.CopyToProto(result.file.add())
    probes.bind(result)
    for method in (method for described in result.file for service in described.service for method in service.method):
        rule = method.options.Extensions[annotations_pb2.http]
        for path in [each.get for each in (rule, *rule.additional_bindings) if each.get]:
            custom = rule.additional_bindings.add().custom
            custom.kind, custom.path = "HEAD", path
    return result


def template_regex(template: str) -> str:
    """Return the regex of the paths of a template, with or without a trailing slash and a query."""
    literals = (re.escape(part) for part in VARIABLE.split(template))
    return "[^/:?]+".join(literals) + r"/?(\?.*)?"
