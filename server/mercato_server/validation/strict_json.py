"""JSON from clients (RFC 8259), as Python's values; anything that is not JSON in UTF-8 is refused with its place."""

import json
from codecs import BOM_UTF8
from collections import Counter
from typing import Any

from mercato_server.domain.errors import MalformedRequest

_DIGITS_MAX = 400
"""Digits of a number; no field takes as many."""


class Repeating(dict[str, Any]):
    """An object of JSON that has names twice; the dictionary holds the last values."""

    names: tuple[str, ...] = ()


def parse(content: bytes) -> Any:
    """Return the value of a JSON text; raises MalformedRequest.

    A byte order mark is dropped (RFC 8259 section 8.1). An object with a name twice becomes a Repeating.
    """
    try:
        return _DECODER.decode(content.removeprefix(BOM_UTF8).decode())
    except UnicodeDecodeError as error:
        raise MalformedRequest("the body is not UTF-8 at byte {byte}", byte=error.start) from None
    except json.JSONDecodeError as error:
        where = "the body is not JSON at line {line}, column {column}: {problem}"
        raise MalformedRequest(where, line=error.lineno, column=error.colno, problem=error.msg) from None
    except RecursionError:
        raise MalformedRequest("the body is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = Repeating(found)
    repeating.names = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeating


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise MalformedRequest("a number in the body has more than {digits} digits", digits=_DIGITS_MAX)
    return int(digits)


def _constant(name: str) -> Any:
    raise MalformedRequest("the body is not JSON: {name} is no number of JSON", name=name)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
