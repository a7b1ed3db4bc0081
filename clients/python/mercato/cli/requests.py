"""Requests from what a person types."""

import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import mercato.rpcs  # noqa: F401 - loads the messages
from mercato.cli.described import Command, Option
from mercato.money import money

KEY = re.compile("[!-~]{1,255}")
"""Of an idempotency key: what the shop takes."""
Currency = Callable[[], str]
"""Returns the currency of the shop, by a call."""


def request_of(command: Command, ids: tuple[str, ...], values: dict[str, Any], currency: Currency) -> Message:
    """Return the request of a command; raises typer.BadParameter for a value that its field cannot have."""
    request = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(command.request))()
    for argument, value in zip(command.arguments, ids, strict=True):
        _set(request, argument.field, text(value, argument.metavar))
    named = []
    for option in command.options:
        typed = values.get(option.key)
        if typed is None or typed == []:
            continue
        named.append(option)
        try:
            _assign(request, option, typed, currency)
        except (TypeError, ValueError, ParseError, OverflowError) as error:
            raise typer.BadParameter(str(error), param_hint=f"--{option.name}") from None
        except RecursionError:
            raise typer.BadParameter("is nested too deeply", param_hint=f"--{option.name}") from None
    if command.mask is not None:
        cleared = [option for option in command.options if option.name in (values.get("clear") or ())]
        if both := [option.name for option in cleared if option in named]:
            raise typer.BadParameter(f"--{both[0]} is to be set and to be empty", param_hint="--clear")
        if not named and not cleared:
            raise typer.BadParameter("name at least one field to change")
        paths = [option.field.removeprefix(command.mask) for option in (*named, *cleared)]
        mask: Any = request
        mask.update_mask.paths.extend(paths)
    if etag := values.get("etag"):
        _set(request, command.etag, text(etag, "--etag"))
    return request


def key_of(values: dict[str, Any]) -> dict[str, str]:
    """Return the idempotency key as a keyword of the call; raises typer.BadParameter for one that no header can hold."""
    key = values.get("idempotency_key")
    if key is not None and not KEY.fullmatch(key):
        raise typer.BadParameter("must be 1 to 255 visible ASCII characters", param_hint="--idempotency-key")
    return {} if key is None else {"idempotency_key": key}


def text(value: str, name: str) -> str:
    """Return an argument; raises typer.BadParameter if it is not in the encoding of the locale, which no message can hold."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise typer.BadParameter("is not text in UTF-8", param_hint=name)
    return value


def _holder(request: Any, path: str) -> tuple[Any, str]:
    """Return the message that has a field, and the field's name."""
    *above, name = path.split(".")
    for each in above:
        request = getattr(request, each)
    return request, name


def _set(request: Any, path: str, value: object) -> None:
    message, name = _holder(request, path)
    setattr(message, name, value)


def _assign(request: Any, option: Option, value: Any, currency: Currency) -> None:
    """Give a field its value, or its values."""
    message, name = _holder(request, option.field)
    if option.repeated:
        for each in value:
            _add(getattr(message, name), option, each, currency)
    elif option.kind == "money":
        getattr(message, name).CopyFrom(amount(value, currency))
    elif option.kind == "minor":
        setattr(message, name, _minor_units(value, currency()))
    elif option.kind == "time":
        getattr(message, name).FromDatetime(_moment(value))
    elif option.kind == "json":
        ParseDict(_json(value), getattr(message, name))
    else:
        setattr(message, name, _scalar(option, value))


def _add(field: Any, option: Option, value: Any, currency: Currency) -> None:
    if option.kind == "json" or (option.kind == "parts" and value.lstrip().startswith("{")):
        ParseDict(_json(value), field.add())
    elif option.kind == "parts":
        _fill(field.add(), option, value, currency)
    else:
        field.append(_scalar(option, value))


def _scalar(option: Option, value: Any) -> Any:
    return option.prefix + value.upper().replace("-", "_") if option.kind == "enum" else value


def _fill(message: Any, option: Option, value: str, currency: Currency) -> None:
    """Fill a message from A=B=C."""
    texts = value.split("=", len(option.parts) - 1)
    for part, text in zip(option.parts, texts, strict=False):
        if part["kind"] == "money":
            getattr(message, part["field"]).CopyFrom(amount(text, currency))
        else:
            setattr(message, part["field"], int(text) if part["kind"] == "int" else text)


def _json(text: str) -> Any:
    """Return JSON from an argument, a file (`@FILE`), or standard input (`@-`)."""
    if text.startswith("@"):
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{text[1:]}: {error.strerror}") from None
    return json.loads(text)


def amount(text: str, currency: Currency) -> Any:
    """Return an amount of money from `19.99` or `19.99 EUR`; the shop's currency is asked for only where none is named."""
    number, _, code = text.strip().partition(" ")
    return money(number, code.strip().upper() or currency())


def _minor_units(text: str, currency: str) -> int:
    """Return an amount in minor units of the shop's currency, of which the field says nothing."""
    found = amount(text, lambda: currency)
    if found.currency_code != currency:
        raise ValueError(f"the currency of the shop is {currency}")
    return int(found.minor_units)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset from UTC, or Z: 2026-12-01T08:00:00Z")
    return moment
