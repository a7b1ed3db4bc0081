"""Write the reference of the gRPC interface as Markdown, from descriptors with the comments of protos/."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from document_rest import cell
from mercato.rpcs import Rpc, rpcs
from mercato.v1 import policy_pb2

PACKAGE = "mercato.v1"
MESSAGES, ENUMS, SERVICES = 4, 5, 6
"""Numbers of the fields of a FileDescriptorProto, by which source locations name their parts."""
NESTED, NESTED_ENUMS, FIELDS, VALUES, METHODS = 3, 4, 2, 2, 2
CALLERS = {
    policy_pb2.ACCESS_ANYONE: "anyone",
    policy_pb2.ACCESS_USER: "an account that is logged in",
    policy_pb2.ACCESS_BUYER: "an account that is logged in, or a guest",
    policy_pb2.ACCESS_ADMIN: "an administrator",
}


def pages(descriptors: FileDescriptorSet) -> dict[str, str]:
    """Return the text of each page by its name: one for each proto file of ours, and an index."""
    ours = [file for file in descriptors.file if file.package == PACKAGE]
    places = {name: page(file) for file in ours for name in _names(file)}
    written = {page(file): _File(file, places).text() for file in ours}
    calls = {rpc.path: rpc for rpc in rpcs()}
    rows = [
        f"| `{path[1:]}` | {CALLERS[rpc.policy.access]} | [{rpc.name}]({places[rpc.service]}#{_anchor(path[1:])}) |"
        for path, rpc in sorted(calls.items())
    ]
    head = "# gRPC\n\nServices and messages of `mercato.v1`. A server answers reflection."
    files = [f"- [{file.name}]({page(file)})" for file in ours]
    lines = (head, "", "| RPC | callers | description |", "|---|---|---|", *rows, "", "## Files", "", *files)
    return {**written, "index.md": "\n".join(lines) + "\n"}


def page(file: FileDescriptorProto) -> str:
    """Return the name of a file's page."""
    return file.name.rpartition("/")[2].replace(".proto", ".md")


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.removeprefix(f"{PACKAGE}.").lower())


def _names(file: FileDescriptorProto) -> Iterator[str]:
    def within(prefix: str, messages: Sequence[DescriptorProto], enums: Sequence[EnumDescriptorProto]) -> Iterator[str]:
        yield from (f"{prefix}.{enum.name}" for enum in enums)
        for message in messages:
            yield f"{prefix}.{message.name}"
            yield from within(f"{prefix}.{message.name}", message.nested_type, message.enum_type)

    yield from within(PACKAGE, file.message_type, file.enum_type)
    yield from (f"{PACKAGE}.{service.name}" for service in file.service)


@dataclass(frozen=True, slots=True)
class _File:
    """A proto file, and the page of each name of the package."""

    file: FileDescriptorProto
    places: dict[str, str]

    def text(self) -> str:
        comments = {tuple(location.path): location.leading_comments for location in self.file.source_code_info.location}
        parts = [f"# {self.file.name}"]
        for number, service in enumerate(self.file.service):
            parts.append(f"## {service.name} {{ #{_anchor(service.name)} }}\n\n{_prose(comments.get((SERVICES, number), ''))}")
            for at, method in enumerate(service.method):
                parts.append(self._rpc(service.name, method, comments.get((SERVICES, number, METHODS, at), "")))
        parts += self._messages((MESSAGES,), self.file.message_type, "", comments)
        parts += self._enums((ENUMS,), self.file.enum_type, "", comments)
        return "\n\n".join(part.rstrip() for part in parts) + "\n"

    def _rpc(self, service: str, method: Any, comment: str) -> str:
        rpc = _RPCS[f"/{PACKAGE}.{service}/{method.name}"]
        name = f"{service}/{method.name}"
        facts = [f"Callers: {CALLERS[rpc.policy.access]}."]
        if rpc.reads:
            facts.append("It changes nothing.")
        if rpc.policy.idempotency_key:
            facts.append("It honours `idempotency-key`.")
        facts.append(f"REST: {', '.join(f'`{verb} {path}`' for verb, path, _ in rpc.bindings)}.")
        signature = f"{'stream of ' if rpc.streams else ''}{self._link(method.input_type)} → {self._link(method.output_type)}"
        return f"### {method.name} {{ #{_anchor(name)} }}\n\n{signature}\n\n{_prose(comment)}\n\n{' '.join(facts)}"

    def _messages(self, path: tuple[int, ...], messages: Any, prefix: str, comments: dict[tuple[int, ...], str]) -> Iterator[str]:
        for number, message in enumerate(messages):
            at, name = (*path, number), f"{prefix}{message.name}"
            if message.options.map_entry:
                continue
            rows = [
                f"| `{field.name}` | {self._type(field, message)} | {cell(comments.get((*at, FIELDS, index), ''))} |"
                for index, field in enumerate(message.field)
            ]
            table = "| field | type | meaning |\n|---|---|---|\n" + "\n".join(rows) if rows else "It has no fields."
            yield f"### {name} {{ #{_anchor(name)} }}\n\n{_prose(comments.get(at, ''))}\n\n{table}"
            yield from self._messages((*at, NESTED), message.nested_type, f"{name}.", comments)
            yield from self._enums((*at, NESTED_ENUMS), message.enum_type, f"{name}.", comments)

    def _enums(self, path: tuple[int, ...], enums: Any, prefix: str, comments: dict[tuple[int, ...], str]) -> Iterator[str]:
        for number, enum in enumerate(enums):
            at, name = (*path, number), f"{prefix}{enum.name}"
            rows = [
                f"| `{value.name}` | {value.number} | {cell(comments.get((*at, VALUES, index), ''))} |"
                for index, value in enumerate(enum.value)
            ]
            table = "| value | number | meaning |\n|---|---|---|\n" + "\n".join(rows)
            yield f"### {name} {{ #{_anchor(name)} }}\n\n{_prose(comments.get(at, ''))}\n\n{table}"

    def _type(self, field: FieldDescriptorProto, message: DescriptorProto) -> str:
        for nested in message.nested_type:
            if nested.options.map_entry and field.type_name.endswith(f".{message.name}.{nested.name}"):
                key, value = (self._type(each, nested) for each in nested.field)
                return f"map of {key} to {value}"
        scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        kind = self._link(field.type_name) if field.type_name else scalar
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        return f"list of {kind}" if repeated else f"{kind}, optional" if field.proto3_optional else kind

    def _link(self, type_name: str) -> str:
        name = type_name.lstrip(".")
        short = name.removeprefix(f"{PACKAGE}.")
        return f"[{short}]({self.places[name]}#{_anchor(short)})" if name in self.places else f"`{name}`"


def _prose(comment: str) -> str:
    """Return a comment as prose: its words in angle brackets are no HTML."""
    return "\n".join(line.removeprefix(" ") for line in comment.strip("\n").splitlines()).replace("<", "&lt;")


_RPCS: dict[str, Rpc] = {rpc.path: rpc for rpc in rpcs()}
