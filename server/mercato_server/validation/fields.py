"""The fields of a message, with the parsers of their values in proto3 JSON and in query parameters."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from mercato_server.domain.messages import Value

Kind = FieldDescriptor
Parse = Callable[[Any], Any]

_DECIMAL = re.compile(r"-?[0-9]{1,20}")
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_EXAMPLES = {
    "google.protobuf.Timestamp": "a time such as 2026-01-31T12:00:00Z",
    "google.protobuf.Duration": "a duration such as 1.5s",
    "google.protobuf.FieldMask": "names of fields, separated by commas",
}


class UnfitError(Exception):
    """A value is not of the type of its field; the template and its values say what the value must be."""

    def __init__(self, template: str, **values: Value) -> None:
        super().__init__(template)
        self.template = template
        self.values = values


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message."""

    name: str
    repeated: bool
    parse: Parse | None
    """Returns the field's value for one of JSON, or raises UnfitError; None for messages."""
    whole: bool
    """Whether it has messages of a well-known type, which are parsed as a whole."""
    is_map: bool
    is_bool: bool
    oneof: str
    """Name of the group of which a request has one field at most; empty for none."""

    def of_text(self, text: str) -> Any:
        """Return the value of a query parameter; raises UnfitError."""
        if self.whole:
            return text
        if self.parse is None:
            raise UnfitError("is an object; name one of its fields, after a dot")
        return self.parse(_WORDS.get(text.lower(), text) if self.is_bool else text)


@cache
def fields(descriptor: Descriptor) -> Mapping[str, Field]:
    """Return the fields of a message by their names in JSON: each has one with underscores and one in lowerCamelCase."""
    return {each: _field(described) for described in descriptor.fields for each in (described.name, described.json_name)}


def parse_whole(message: Message, value: Any) -> None:
    """Write a value of JSON into a message of a well-known type; raises UnfitError."""
    name = message.DESCRIPTOR.full_name
    try:
        if name == "google.protobuf.FieldMask":
            message.paths.extend(_mask(value))  # type: ignore[attr-defined] # a FieldMask
        else:
            json_format.ParseDict(value, message)
    except (json_format.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise UnfitError("must be {example}", example=_EXAMPLES.get(name, "as proto3 JSON has it")) from None


def _field(described: FieldDescriptor) -> Field:
    message, enum, oneof = described.message_type, described.enum_type, described.containing_oneof
    is_map = message is not None and message.GetOptions().map_entry
    return Field(
        name=described.name,
        repeated=described.is_repeated and not is_map,
        parse=_enum(enum) if enum else _PARSERS.get(described.type),
        whole=message is not None and message.full_name.startswith("google.protobuf."),
        is_map=is_map,
        is_bool=described.type == Kind.TYPE_BOOL,
        oneof=oneof.name if oneof is not None and len(oneof.fields) > 1 else "",
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError("must be a text")
    if not is_unicode(value):
        raise UnfitError("must be Unicode; it has half of a surrogate pair")
    return value


def is_unicode(text: str) -> bool:
    """Return whether a text is valid Unicode, without half of a surrogate pair, which an escape in JSON can produce."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True)
    except (AttributeError, TypeError, ValueError):
        raise UnfitError("must be bytes in base64") from None


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitError("must be true or false")
    return value


def _float(value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UnfitError("must be a number")


def _integer(low: int, high: int) -> Parse:
    def parse(value: Any) -> int:
        is_whole = (isinstance(value, str) and _DECIMAL.fullmatch(value)) or (isinstance(value, float) and value.is_integer())
        number = int(value) if is_whole else value
        if type(number) is not int or not low <= number <= high:  # a bool is an int for isinstance
            raise UnfitError("must be a whole number from {low} to {high}", low=low, high=high)
        return number

    return parse


def _enum(described: EnumDescriptor) -> Parse:
    numbers = {name.upper(): value.number for name, value in described.values_by_name.items()}
    number_of = _integer(-(2**31), 2**31 - 1)

    def parse(value: Any) -> Any:
        try:
            return numbers[value.upper()] if isinstance(value, str) and value.upper() in numbers else number_of(value)
        except UnfitError:
            names = [name for name, value in described.values_by_name.items() if value.number]
            raise UnfitError("must be one of {names}", names=", ".join(names)) from None

    return parse


_PARSERS: Mapping[int, Parse] = {
    Kind.TYPE_STRING: _text,
    Kind.TYPE_BYTES: _bytes,
    Kind.TYPE_BOOL: _bool,
    Kind.TYPE_DOUBLE: _float,
    Kind.TYPE_FLOAT: _float,
    **dict.fromkeys((Kind.TYPE_INT32, Kind.TYPE_SINT32, Kind.TYPE_SFIXED32), _integer(-(2**31), 2**31 - 1)),
    **dict.fromkeys((Kind.TYPE_INT64, Kind.TYPE_SINT64, Kind.TYPE_SFIXED64), _integer(-(2**63), 2**63 - 1)),
    **dict.fromkeys((Kind.TYPE_UINT32, Kind.TYPE_FIXED32), _integer(0, 2**32 - 1)),
    **dict.fromkeys((Kind.TYPE_UINT64, Kind.TYPE_FIXED64), _integer(0, 2**64 - 1)),
}


def _mask(value: Any) -> list[str]:
    """Return the paths of a field mask, whose names may have underscores or be in lowerCamelCase."""
    paths = value.split(",") if value else []
    return [re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", path.strip()) for path in paths]
