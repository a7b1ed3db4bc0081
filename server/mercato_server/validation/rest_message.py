"""Messages from the parts of a REST request: the variables of its path, a JSON body and query parameters.

Each name must be a field, and may be there once; each value must have the type of its field. Violations name the full path of a field.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from google.protobuf.message import Message

from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.messages import Value
from mercato_server.validation.fields import Field, UnfitError, fields, parse_whole
from mercato_server.validation.strict_json import Repeating

VIOLATIONS_MAX = 50
"""Violations after which a request is not checked further."""
_NAME_MAX = 100
"""Characters of an unknown name that an error repeats."""


class RestMessage:
    """A message that has the variables of the path, to be filled from body and query."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self._in_path = frozenset(_leaves(message))
        self._set = set(self._in_path)
        """Paths of the fields that the message has."""
        self._found: list[Violation] = []

    def checked(self) -> Message:
        """Return the message; raises InvalidRequest with all violations that were found."""
        if self._found:
            raise InvalidRequest(self._found)
        return self.message

    def add_whole(self, name: str, value: Message) -> None:
        """Set a field to a message as it is; no parameter of the query may change it."""
        getattr(self.message, name).CopyFrom(value)
        self._set.update(f"{name}.{field.name}" for field in value.DESCRIPTOR.fields)

    def add_object(self, value: Any, message: Message, prefix: str = "") -> None:
        """Write a JSON object into the message, or into the part of it that is below a prefix such as `product.`."""
        if not isinstance(value, dict):
            self.fail(prefix.rstrip("."), "must be an object")
            return
        if isinstance(value, Repeating):
            for name in value.names:
                self.fail(prefix + shown(name), "is there twice")
        known = fields(message.DESCRIPTOR)
        for name, item in value.items():
            field = known.get(name)
            if field is None:
                self.fail(prefix + shown(name), "is not a field; the fields are {known}", known=_names(known))
            elif item is not None:  # null is an absent field
                self._add(message, field, item, prefix + field.name)

    def add_query(self, query: str) -> None:
        """Write the parameters of a URL's query into the message; a parameter without a value is absent."""
        for part in query.split("&"):
            name, _, value = part.partition("=")
            try:
                name, value = _unescaped(name), _unescaped(value)
            except UnicodeDecodeError:
                self.fail(shown(name), "is not UTF-8")
                continue
            if name or value:
                self._add_parameter(name, value)

    def fail(self, path: str, template: str, **values: Value) -> None:
        """Add a violation; raises InvalidRequest when there are many."""
        self._found.append(Violation(path, template, values))
        if len(self._found) == VIOLATIONS_MAX:
            self.checked()

    def _add_parameter(self, path: str, text: str) -> None:
        *outer, last = path.split(".")
        message, at = self.message, ""
        for name in outer:
            field = fields(message.DESCRIPTOR).get(name)
            if field is None or field.parse or field.repeated:
                break
            if not self._is_alone(message, field, at + field.name):
                return
            message, at = getattr(message, field.name), f"{at}{field.name}."
        else:
            known = fields(message.DESCRIPTOR)
            if field := known.get(last):
                if text:
                    self._add_text(message, field, text, at + field.name)
                return
        self.fail(shown(path), "is no query parameter")

    def _add_text(self, message: Message, field: Field, text: str, at: str) -> None:
        try:
            value = field.of_text(text)
            if self._had(message, field, value, at):
                return
            if field.repeated and at not in self._set:  # a parameter may be repeated
                getattr(message, field.name).append(value)
            elif self._is_new(message, field, at):
                self._write(message, field, value, at)
        except UnfitError as error:
            self.fail(at, error.template, **error.values)

    def _add(self, message: Message, field: Field, value: Any, at: str) -> None:
        try:
            if field.parse and at in self._in_path and self._had(message, field, field.parse(value), at):
                return
            if not self._is_new(message, field, at):
                return
            if not field.repeated:
                self._write(message, field, field.parse(value) if field.parse else value, at)
            elif isinstance(value, list):
                self._add_elements(getattr(message, field.name), field, value, at)
            else:
                self.fail(at, "must be an array")
        except UnfitError as error:
            self.fail(at, error.template, **error.values)

    def _add_elements(self, elements: Any, field: Field, values: list[Any], at: str) -> None:
        for index, value in enumerate(values):
            place = f"{at}[{index}]"
            try:
                if field.parse:
                    elements.append(field.parse(value))
                elif field.whole:
                    parse_whole(elements.add(), value)
                else:
                    self.add_object(value, elements.add(), f"{place}.")
            except UnfitError as error:
                self.fail(place, error.template, **error.values)

    def _write(self, message: Message, field: Field, value: Any, at: str) -> None:
        """Write a parsed value, or a message."""
        if field.parse:
            setattr(message, field.name, value)
        elif field.is_map:
            parse_whole(message, {field.name: value})
        elif field.whole:
            parse_whole(getattr(message, field.name), value)
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()  # an empty object is present
            self.add_object(value, inner, f"{at}.")

    def _had(self, message: Message, field: Field, value: Any, at: str) -> bool:
        """Return whether the message came with a value: a client may send back a product with its id.

        A query repeats the fields that an edge of the last release has read from it, while workers and edge are being replaced.
        """
        if field.whole and not field.repeated:
            return at not in self._set and message.HasField(field.name)
        if at not in self._in_path:
            return False
        had = getattr(message, field.name)
        return value in had if field.repeated else bool(value == had)

    def _is_new(self, message: Message, field: Field, at: str) -> bool:
        """Record that a field is set; report one that is set already, or beside another one of its group."""
        if at in self._set:
            self.fail(at, "differs from the path" if at in self._in_path else "is there twice")
            return False
        self._set.add(at)
        return self._is_alone(message, field, at)

    def _is_alone(self, message: Message, field: Field, at: str) -> bool:
        """Report a field whose group has another one."""
        other = message.WhichOneof(field.oneof) if field.oneof else None
        if other in (None, field.name):
            return True
        self.fail(at, "excludes {other}; send one of them", other=other)
        return False


def _leaves(message: Message, prefix: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        if field.message_type:
            yield from _leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode()


def shown(name: str) -> str:
    """Return the name that a client sent, in a form that fits into an error."""
    return (name if len(name) <= _NAME_MAX else name[:_NAME_MAX] + "…").encode(errors="replace").decode()


def _names(known: Mapping[str, Field]) -> str:
    return ", ".join(dict.fromkeys(field.name for field in known.values())) or "none"
