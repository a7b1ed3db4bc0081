"""JSON schemas of protobuf messages in proto3 JSON with the proto's field names."""

from collections.abc import Iterable, Iterator, Mapping

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.rpc import error_details_pb2

from mercato.reasons import REASONS
from mercato_server.edge.bounds import PACKAGE, Schema, shape

Field = FieldDescriptorProto
Behavior = field_behavior_pb2.FieldBehavior

WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Any": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
"""Messages whose JSON is not an object of their fields."""

INT32 = {"type": "integer", "format": "int32"}
INT64 = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}  # proto3 JSON: JavaScript's numbers would lose digits

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
    f"{PACKAGE}.QuoteChange": "",  # its comment says when, and so does the next one's
    f"{PACKAGE}.StockShortage": "",
}
"""Messages that errors carry in `details`, and when."""

REASON = """
The cause of an error, for programs. Later releases may add reasons: a client treats one that it does not know by the code of the error.
Here is each with its code, whether a retry helps, its meaning and its remedy.
""".strip()

MAY_BE_ABSENT = frozenset(
    (
        "BadRequest.FieldViolation.localized_message",
        "CartWarning.previous_unit_price",
        "ListProductsResponse.facets_at_least",
        "ListProductsResponse.total_size",
        "GetSlugResponse.category",
        "GetSlugResponse.group",
        "GetSlugResponse.product",
        "ExportMeResponse.account",
        "LoginResponse.guest_merge",
        "Order.erase_time",
        "Order.payment_due_time",
        "Product.delete_time",
        "Cart.price",
        "CartHeader.billing_address",
        "CartHeader.shipping_address",
        "Order.billing_address",
        "Order.price",
        "Order.shipping_address",
        "OrderLine.refunded",
        "Payment.capture_before_time",
        "PaymentEvent.quarantine_time",
        "PaymentEvent.resolve_time",
        "PaymentRequest.settle_time",
        "PictureUpload.picture",
        "PriceBreakdown.delivery",
        "PriceLine.tax_rate_ppm",
        "ProductGroup.max_price",
        "ProductGroup.min_price",
        "Shipment.deliver_time",
        "Shipment.ship_time",
        "ShippingMethod.archive_time",
        "User.erase_time",
        "User.guest_merge",
        "ShippingRate.end",
        "ShippingRate.free_from",
        "ShippingZone.archive_time",
        "Promotion.amount",
        "Promotion.archive_time",
        "Promotion.buy_quantity",
        "Promotion.delivery_max",
        "Promotion.end_time",
        "Promotion.get_quantity",
        "Promotion.per_buyer_limit",
        "Promotion.percent_ppm",
        "Promotion.start_time",
        "Promotion.usage_limit",
        "PromotionCode.archive_time",
        "PromotionCode.usage_limit",
        "TaxCategory.archive_time",
        "TaxRate.archive_time",
        "TaxRate.valid_from",
        "TaxRate.valid_until",
    )
)
"""Fields of responses that are not always sent: messages, times and optional fields without a value."""


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
    """The components of a document; a message or enum is added at the first reference to it.

    In responses, every field that the server always sends is required. Fields of requests have bounds.
    A message of both has a component for each: that of requests is named `…Input`, or `…Patch` where no field is required.
    """

    def __init__(self, symbols: Symbols, responses: Iterable[str]) -> None:
        self.symbols = symbols
        self.components: dict[str, Schema] = {}
        self._answered: set[str] = set()
        for name in responses:
            self._reach(name)

    def message(self, name: str, *, request: bool, partial: bool = False, without: frozenset[str] = frozenset()) -> Schema:
        """Return a schema for a message by full name: a reference, or the schema itself if its JSON is not an object."""
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        suffix = "Patch" if partial else "Input" if request and name in self._answered else ""
        component = _short(name) + suffix
        if component not in self.components:
            self.components[component] = {}  # first, so that a message may contain itself
            self.components[component] = self._object(name, request=request, partial=partial, without=without)
        return {"$ref": f"#/components/schemas/{component}"}

    def field(self, owner: str, field: Field, *, request: bool) -> Schema:
        """Return the schema of a field with its comment."""
        name = f"{owner}.{field.name}"
        entry = self.symbols.messages.get(field.type_name[1:])
        value = self._value(entry.field[1] if entry is not None and entry.options.map_entry else field, request=request)
        if entry is not None and entry.options.map_entry:
            schema: Schema = {"type": "object", "additionalProperties": value}
        elif field.label == Field.LABEL_REPEATED:
            schema = {"type": "array", "items": value | shape(f"{name}[]", request=request)}
        else:
            schema = value
        schema |= shape(name, request=request)
        if behaves(field, Behavior.OUTPUT_ONLY) or behaves(field, Behavior.IDENTIFIER):
            schema["readOnly"] = True
        if behaves(field, Behavior.INPUT_ONLY):
            schema["writeOnly"] = True
        return self._described(schema, name)

    def error(self) -> None:
        """Add google.rpc.Status with the details that our errors carry."""
        mapping = {_type_url(name): self._detail(name, when)["$ref"] for name, when in ERROR_DETAILS.items()}
        self.components["ErrorInfo"]["properties"]["reason"] = {"$ref": "#/components/schemas/Reason"}
        self.components["Reason"] = _reasons()
        details = {
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "@type", "mapping": mapping},
        }
        self.components["ErrorDetail"] = {"description": "A detail of an error; `@type` tells which.", **details}
        self.components["Status"] = {
            "type": "object",
            "description": "An error (google.rpc.Status, AIP-193).",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "integer", "format": "int32", "description": "Status code of gRPC (google.rpc.Code)."},
                "message": {"type": "string", "description": "Description of the error, in English, for developers."},
                "details": {"type": "array", "items": {"$ref": "#/components/schemas/ErrorDetail"}},
            },
        }

    def _reach(self, name: str) -> None:
        """Record that responses have a message, with those in its fields."""
        if name in WELL_KNOWN or name in self._answered:
            return
        self._answered.add(name)
        for field in self.symbols.messages[name].field:
            if field.type == Field.TYPE_MESSAGE:
                self._reach(field.type_name[1:])

    def _object(self, name: str, *, request: bool, partial: bool = False, without: frozenset[str] = frozenset()) -> Schema:
        """Return the schema of a message as an object, without some fields; if `partial`, no field is required."""
        fields = [field for field in self.symbols.messages[name].field if field.name not in without]
        schema = self._described({"type": "object"}, name)
        required = [field.name for field in fields if _is_required(name, field, request=request)]
        if required and not partial:
            schema["required"] = required
        schema["properties"] = {field.name: self.field(name, field, request=request) for field in fields}
        if request:
            schema["additionalProperties"] = False
        return schema

    def _detail(self, name: str, when: str) -> Schema:
        short = _short(name)
        schema = self._object(name, request=False)
        of_type = {"@type": {"type": "string", "enum": [_type_url(name)]}}
        self.components[short] = {
            **schema,
            "description": "\n".join(filter(None, (self.symbols.comments.get(name), when))),
            "required": ["@type", *schema.get("required", ())],
            "properties": {**of_type, **schema["properties"]},
        }
        return {"$ref": f"#/components/schemas/{short}"}

    def _value(self, field: Field, *, request: bool) -> Schema:
        if field.type == Field.TYPE_MESSAGE:
            return self.message(field.type_name[1:], request=request)
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


def _is_required(owner: str, field: Field, *, request: bool) -> bool:
    """Tell whether a request must have a field, or whether every response has it: JSON of a response has fields with their defaults."""
    return behaves(field, Behavior.REQUIRED) if request else f"{_short(owner)}.{field.name}" not in MAY_BE_ABSENT


def _reasons() -> Schema:
    """Return the schema of a reason. It is no `enum`: programs that are generated from one fail at the reasons of a later release."""
    known = [f"- `{reason.name}` ({reason.code}, {reason.retry.name}): {reason.meaning} {reason.remedy}" for reason in REASONS.values()]
    return {
        "type": "string",
        "description": "\n".join((REASON, "", *known)),
        "pattern": "^[A-Z][A-Z0-9_]*[A-Z0-9]$",
        "x-extensible-enum": [reason.name for reason in REASONS.values()],
    }


def _type_url(name: str) -> str:
    return f"type.googleapis.com/{name}"


def _short(name: str) -> str:
    """Return a component's name: ours without their package, Google's without google.rpc."""
    return name.removeprefix(f"{PACKAGE}.").removeprefix("google.rpc.")
