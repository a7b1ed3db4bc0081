"""JSON schemas of protobuf messages in proto3 JSON with the proto's field names."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.rpc import error_details_pb2

Schema = dict[str, Any]
Field = FieldDescriptorProto
Behavior = field_behavior_pb2.FieldBehavior

PACKAGE = "mercato.v1"

WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Any": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
"""Messages whose JSON is not an object of their fields."""

INT32 = {"type": "integer", "format": "int32"}
INT64 = {"type": "string", "format": "int64"}  # proto3 JSON: JavaScript's numbers would lose digits

SCALARS: Mapping[int, Schema] = {
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_FIXED32: INT32,
    Field.TYPE_FIXED64: INT64,
    Field.TYPE_FLOAT: {"type": "number", "format": "float"},
    Field.TYPE_INT32: INT32,
    Field.TYPE_INT64: INT64,
    Field.TYPE_SFIXED32: INT32,
    Field.TYPE_SFIXED64: INT64,
    Field.TYPE_SINT32: INT32,
    Field.TYPE_SINT64: INT64,
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_UINT32: INT32,
    Field.TYPE_UINT64: INT64,
}

ERROR_DETAILS: Mapping[str, str] = {
    "google.rpc.ErrorInfo": "The cause, for programs. Every error has one; `reason` is stable, `domain` is `mercato.internal`.",
    "google.rpc.BadRequest": "With INVALID_ARGUMENT: every invalid field, and why.",
    "google.rpc.PreconditionFailure": "With FAILED_PRECONDITION: the condition that is not met.",
    "google.rpc.ResourceInfo": "With NOT_FOUND and ALREADY_EXISTS: the resource.",
    "google.rpc.RetryInfo": "Where the same request may succeed later: how long to wait before it is sent again.",
    f"{PACKAGE}.StockShortage": "",  # its comment says when
}
"""Messages that errors carry in `details`, and when."""


class Symbols:
    """The messages and enums of a descriptor set by full name, and the comment of everything in it by full name."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self.messages: dict[str, DescriptorProto] = {}
        self.enums: dict[str, EnumDescriptorProto] = {}
        self.comments: dict[str, str] = {}
        for file in descriptors.file:
            self._add(file)
        details = FileDescriptorProto()
        error_details_pb2.DESCRIPTOR.CopyToProto(details)
        self._add(details)

    def _add(self, file: FileDescriptorProto) -> None:
        written = {tuple(at.path): at.leading_comments for at in file.source_code_info.location if at.leading_comments}
        for path, name in self._names(file):
            if path in written:
                self.comments[name] = "\n".join(line.removeprefix(" ") for line in written[path].strip().split("\n"))

    def _names(self, file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
        """Yield the SourceCodeInfo path and the full name of every element in the file."""
        for index, message in enumerate(file.message_type):
            yield from self._message_names((4, index), f"{file.package}.{message.name}", message)
        for index, enum in enumerate(file.enum_type):
            yield from self._enum_names((5, index), f"{file.package}.{enum.name}", enum)
        for index, service in enumerate(file.service):
            yield (6, index), f"{file.package}.{service.name}"
            for number, method in enumerate(service.method):
                yield (6, index, 2, number), f"{file.package}.{service.name}.{method.name}"

    def _message_names(self, path: tuple[int, ...], name: str, message: DescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
        self.messages[name] = message
        yield path, name
        for index, field in enumerate(message.field):
            yield (*path, 2, index), f"{name}.{field.name}"
        for index, nested in enumerate(message.nested_type):
            yield from self._message_names((*path, 3, index), f"{name}.{nested.name}", nested)
        for index, enum in enumerate(message.enum_type):
            yield from self._enum_names((*path, 4, index), f"{name}.{enum.name}", enum)

    def _enum_names(self, path: tuple[int, ...], name: str, enum: EnumDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
        self.enums[name] = enum
        yield path, name
        for index, value in enumerate(enum.value):
            yield (*path, 2, index), f"{name}.{value.name}"


class Schemas:
    """The components of a document; a message or enum is added at the first reference to it."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.components: dict[str, Schema] = {}

    def message(self, name: str) -> Schema:
        """Return a schema for a message by full name: a reference, or the schema itself if its JSON is not an object."""
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        short = _short(name)
        if short not in self.components:
            self.components[short] = {}  # first, so that a message may contain itself
            self.components[short] = self.object(name)
        return {"$ref": f"#/components/schemas/{short}"}

    def object(self, name: str, *, without: frozenset[str] = frozenset(), partial: bool = False) -> Schema:
        """Return the schema of a message as an object, without some fields; if `partial`, no field is required."""
        fields = [field for field in self.symbols.messages[name].field if field.name not in without]
        schema = self._described({"type": "object"}, name)
        required = [field.name for field in fields if behaves(field, Behavior.REQUIRED)]
        if required and not partial:
            schema["required"] = required
        schema["properties"] = {field.name: self.field(name, field) for field in fields}
        return schema

    def field(self, owner: str, field: Field) -> Schema:
        """Return the schema of a field with its comment."""
        entry = self.symbols.messages.get(field.type_name[1:])
        if entry is not None and entry.options.map_entry:
            schema: Schema = {"type": "object", "additionalProperties": self._value(entry.field[1])}
        elif field.label == Field.LABEL_REPEATED:
            schema = {"type": "array", "items": self._value(field)}
        else:
            schema = self._value(field)
        if behaves(field, Behavior.OUTPUT_ONLY):
            schema["readOnly"] = True
        return self._described(schema, f"{owner}.{field.name}")

    def error(self) -> Schema:
        """Return a reference to google.rpc.Status with the details that our errors carry."""
        details = [self._detail(name, when) for name, when in ERROR_DETAILS.items()]
        self.components["Status"] = {
            "type": "object",
            "description": "An error (google.rpc.Status, AIP-193).",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "integer", "format": "int32", "description": "Status code of gRPC (google.rpc.Code)."},
                "message": {"type": "string", "description": "Description of the error, in English, for developers."},
                "details": {"type": "array", "items": {"anyOf": [*details, dict(WELL_KNOWN["google.protobuf.Any"])]}},
            },
        }
        return {"$ref": "#/components/schemas/Status"}

    def _detail(self, name: str, when: str) -> Schema:
        short = _short(name)
        schema = self.object(name)
        of_type = {"@type": {"const": f"type.googleapis.com/{name}"}}
        self.components[short] = {
            **schema,
            "description": "\n".join(filter(None, (self.symbols.comments.get(name), when))),
            "required": ["@type", *schema.get("required", ())],
            "properties": {**of_type, **schema["properties"]},
        }
        return {"$ref": f"#/components/schemas/{short}"}

    def _value(self, field: Field) -> Schema:
        if field.type == Field.TYPE_MESSAGE:
            return self.message(field.type_name[1:])
        if field.type == Field.TYPE_ENUM:
            return self._enum(field.type_name[1:])
        return dict(SCALARS[field.type])

    def _enum(self, name: str) -> Schema:
        short = _short(name)
        if short not in self.components:
            values = [value.name for value in self.symbols.enums[name].value]
            meanings = [f"- {value}: {self.symbols.comments.get(f'{name}.{value}', '')}" for value in values]
            description = "\n".join((self.symbols.comments.get(name, ""), "", *meanings))
            self.components[short] = {"type": "string", "description": description, "enum": values}
        return {"$ref": f"#/components/schemas/{short}"}

    def _described(self, schema: Schema, name: str) -> Schema:
        comment = self.symbols.comments.get(name)
        return {**schema, "description": comment} if comment else schema


def behaves(field: Field, behavior: int) -> bool:
    """Tell whether a field states this google.api.field_behavior."""
    return behavior in field.options.Extensions[field_behavior_pb2.field_behavior]


def _short(name: str) -> str:
    """Return a component's name: ours without their package, Google's without google.rpc."""
    return name.removeprefix(f"{PACKAGE}.").removeprefix("google.rpc.")
