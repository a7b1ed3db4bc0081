"""The descriptor set for Envoy's transcoder, and REST path templates as regular expressions.

The transcoder drops unknown fields of a JSON body, and does not say where a request is wrong. So its descriptors have other requests than
mercato.v1: the variables of the path, and the body as it came. A worker parses body and query (rpc/rest.py). Responses are the same.

The transcoder also reads the fields of a request from the query, where they replace those of the path. So the variables have names here
that no parameter may have: a worker refuses it.
"""

import re
from collections.abc import Iterable
from typing import Any

from google.api import annotations_pb2, httpbody_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from mercato.rpcs import Rpc, files, rpcs
from mercato_server.edge import probes
from mercato_server.rpc.rest import BODY_FIELD

VARIABLE = re.compile(r"\{[^}]*\}")
BODY = "http_body"
BODY_TYPE = httpbody_pb2.HttpBody.DESCRIPTOR


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

    for file in (BODY_TYPE.file, *files(), health_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):
        add(file)
    result = FileDescriptorSet()
    transcoded = {rpc.request_type.DESCRIPTOR.full_name: rpc for rpc in rpcs() if rpc.bindings}
    for file in ordered.values():
        _as_the_edge_sees_it(file, result.file.add(), transcoded)
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


def _as_the_edge_sees_it(file: FileDescriptor, copy: FileDescriptorProto, transcoded: dict[str, Rpc]) -> None:
    """Copy a file; replace the requests of its RPCs."""
    file.CopyToProto(copy)
    for message in copy.message_type:
        if rpc := transcoded.get(f"{copy.package}.{message.name}"):
            message.CopyFrom(_request(rpc))
    if copy.service and BODY_TYPE.file.name not in copy.dependency:
        copy.dependency.append(BODY_TYPE.file.name)
    for method in (method for service in copy.service for method in service.method):
        if not method.options.HasExtension(annotations_pb2.http):
            continue
        rule = method.options.Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            verb = each.WhichOneof("pattern")
            each.body = BODY if verb not in (None, "get") else ""
            if verb:
                setattr(each, verb, VARIABLE.sub(lambda match: f"{{{_in_path(match[0][1:-1])}}}", getattr(each, verb)))


def _in_path(variable: str) -> str:
    """Return the name that the edge gives to a variable: `product.path_id` to `product.id`."""
    outer, dot, name = variable.rpartition(".")
    return f"{outer}{dot}path_{name}"


def _request(rpc: Rpc) -> DescriptorProto:
    """Return a request with the variables of the paths under their own numbers, and the body under BODY_FIELD."""
    request, described = DescriptorProto(), rpc.request_type.DESCRIPTOR
    for variable in sorted({name[1:-1] for binding in rpc.bindings for name in VARIABLE.findall(binding.path)}):
        _add_variable(request, described, f".{described.full_name}", variable.split("."))
    request.name = described.name
    if rpc.reads:
        return request
    body = request.field.add(name=BODY, number=BODY_FIELD, json_name=BODY)
    body.label, body.type, body.type_name = (
        FieldDescriptorProto.LABEL_OPTIONAL,
        FieldDescriptorProto.TYPE_MESSAGE,
        f".{BODY_TYPE.full_name}",
    )
    return request


def _add_variable(message: DescriptorProto, described: Any, scope: str, names: list[str]) -> None:
    """Add the field that a variable such as `product.id` names; messages on the way become nested ones with this field only."""
    name, *rest = names
    here = name if rest else _in_path(name)
    if here not in (field.name for field in message.field):
        original = DescriptorProto()
        described.CopyToProto(original)
        field = message.field.add()
        field.CopyFrom(next(field for field in original.field if field.name == name))
        field.name = field.json_name = here
    if rest:
        field = next(field for field in message.field if field.name == name)
        nested = f"Path_{name}"
        if field.type_name != f"{scope}.{nested}":
            field.type_name = f"{scope}.{nested}"
            message.nested_type.add(name=nested)
        inner = next(each for each in message.nested_type if each.name == nested)
        _add_variable(inner, described.fields_by_name[name].message_type, field.type_name, rest)
