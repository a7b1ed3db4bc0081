"""Answers on standard output: tables on a terminal, TSV in a pipe, JSON where it is asked for."""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from mercato.cli.escapes import cell, harmless, harmless_json
from mercato.money import to_decimal

CHUNK = 200
"""Lines that a table aligns together: all lines of a list may be more than memory holds."""
SHOWN = 50
"""Lines of a list on a terminal, unless --limit says otherwise."""


class Output:
    """Prints messages in the format that the caller wants."""

    def __init__(self, columns: Sequence[str], *, as_json: bool) -> None:
        self._columns, self._as_json = columns, as_json
        self.is_terminal = sys.stdout.isatty()
        self._has_head = False

    def one(self, message: Message) -> None:
        """Print an answer."""
        if self._as_json:
            _write(harmless_json(json.dumps(as_rest(message), ensure_ascii=False, indent=2 if self.is_terminal else None)))
        elif self.is_terminal:
            self._pairs(message)
        else:
            self._lines([message])

    def many(self, messages: Iterable[Message]) -> None:
        """Print the items of a list as they come."""
        if self._as_json:
            for message in messages:
                _write(harmless_json(json.dumps(as_rest(message), ensure_ascii=False)))
        elif self.is_terminal:
            self._tables(iter(messages))
        else:
            self._lines(messages)

    def _lines(self, messages: Iterable[Message]) -> None:
        """Print lines; their head comes once the first of them has come, so that a call that fails prints nothing."""
        for message in messages:
            self._head()
            _write("\t".join(cell(value(message, column)) for column in self._columns))
        self._head()

    def _head(self) -> None:
        if not self._has_head:
            self._has_head = True
            _write("\t".join(self._columns))

    def _tables(self, messages: Any) -> None:
        while chunk := list(islice(messages, CHUNK)):
            from rich.console import Console
            from rich.table import Table

            table = Table(box=None, show_header=not self._has_head, pad_edge=False)
            if not self._has_head:  # a narrow terminal has no room for columns without a value
                self._columns = [column for column in self._columns if any(value(message, column) for message in chunk)]
            self._has_head = True
            for column in self._columns:
                table.add_column(column.upper().replace("_", " ").replace(".", " "), overflow="fold")
            for message in chunk:
                table.add_row(*(_text(value(message, column)) for column in self._columns))
            Console(highlight=False).print(table)

    def _pairs(self, message: Message) -> None:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for column in self._columns:
            table.add_row(column, _text(value(message, column)))
        Console(highlight=False).print(table)


def _text(text: str) -> Any:
    """Return a cell of a table; brackets in it are no markup."""
    from rich.text import Text

    return Text(harmless(text))


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")


def as_rest(message: Message) -> dict[str, Any]:
    """Return a message as REST's JSON."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def value(message: Any, path: str) -> str:
    """Return a column of a message as text; empty where it has none."""
    *above, name = path.split(".")
    for each in above:
        if not message.HasField(each):
            return ""
        message = getattr(message, each)
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.has_presence and not message.HasField(name):
        return ""
    return _told(field, getattr(message, name))


def _told(field: FieldDescriptor, found: Any) -> str:
    if field.message_type and field.message_type.full_name == "google.protobuf.Timestamp":
        return str(found.ToJsonString())
    if field.message_type and field.message_type.full_name == "mercato.v1.Money":
        return _amount(found)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "true" if found else "false"
    if field.enum_type:
        return _choice(field, found)
    return str(found)


def _amount(found: Any) -> str:
    try:
        return f"{to_decimal(found)} {found.currency_code}"
    except ValueError:  # a currency that this release does not know
        return f"{found.minor_units} minor units of {found.currency_code}"


def _choice(field: Any, number: int) -> str:
    """Return a value of an enum as options name it; its number if it is of a newer server, and nothing if it is unspecified."""
    known = field.enum_type.values_by_number
    if not number:
        return ""
    if number not in known:
        return str(number)
    prefix = known[0].name.removesuffix("UNSPECIFIED")
    return str(known[number].name.removeprefix(prefix).lower().replace("_", "-"))
