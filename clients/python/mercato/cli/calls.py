"""Runs a command of protos: confirms, calls, prints."""

import sys
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any

import typer

from mercato.cli.described import Command
from mercato.cli.escapes import harmless
from mercato.cli.failures import DONE, IN_PART, LOGIN, UNREACHABLE, reported
from mercato.cli.output import SHOWN, Output
from mercato.cli.profiles import client
from mercato.cli.requests import key_of, request_of
from mercato.cli.streams import tell, tidy

PAGE = 100
"""Most items of a page."""


def run(command: Command, values: dict[str, Any]) -> int:
    """Run a command, and return its exit code."""
    with tidy(as_json=values["as_json"]):
        targets = _targets(command, values)
        _confirm(command, targets, values)
        with client(values["server"], values["profile"], values["timeout"]) as shop:
            output = Output(command.columns, as_json=values["as_json"])
            if command.items:
                return _list(shop, command, targets[0], values, output)
            return _each(shop, command, targets, values, output)


def _targets(command: Command, values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the ids of each call."""
    if not command.many:
        return [tuple(values[f"id_{number}"] for number in range(len(command.arguments)))]
    ids: list[tuple[str, ...]] = [(each,) for each in values["id_0"]]
    for option in ("etag", "idempotency_key"):
        if len(ids) > 1 and values.get(option):
            raise typer.BadParameter("belongs to one id", param_hint=f"--{option.replace('_', '-')}")
    return ids


def _confirm(command: Command, targets: list[tuple[str, ...]], values: dict[str, Any]) -> None:
    """Ask before a change that cannot be taken back."""
    if not command.destroys or values["yes"] or values.get("delete_others") is False:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask; repeat the command with --yes", param_hint="--yes")
    named = ", ".join(" ".join(target) for target in targets) or "all of them"
    asked = f"{command.rpc.partition('.')[2].replace('_', ' ').capitalize()}: {harmless(named)}?"
    typer.confirm(asked, abort=True, err=True)


def _method(shop: Any, command: Command) -> Callable[..., Any]:
    service, _, name = command.rpc.partition(".")
    method: Callable[..., Any] = getattr(getattr(shop, service), name)
    return method


def _currency(shop: Any) -> Callable[[], str]:
    return cache(lambda: str(shop.shop.get_shop().currency_code))


def _list(shop: Any, command: Command, ids: tuple[str, ...], values: dict[str, Any], output: Output) -> int:
    limit = values["limit"]
    if limit is None:
        limit = SHOWN if output.is_terminal and not values["as_json"] else 0
    request: Any = request_of(command, ids, values, _currency(shop))
    request.page_size = min(limit + 1, PAGE) if limit else PAGE
    found = iter(_method(shop, command)(request))
    output.many(islice(found, limit) if limit else found)
    if limit and output.is_terminal and next(found, None) is not None:
        sys.stdout.flush()
        tell(f"The first {limit}; --limit 0 prints all.")
    return DONE


def _each(shop: Any, command: Command, targets: list[tuple[str, ...]], values: dict[str, Any], output: Output) -> int:
    """Call once for each id, in their order. A refusal does not keep the others from being done; an end of the session does."""
    from mercato.errors import CallError

    key, currency = key_of(values), _currency(shop)
    method, done, code = _method(shop, command), 0, DONE
    for ids in targets:
        try:
            answer = method(request_of(command, ids, values, currency), **key)
        except CallError as error:
            sys.stdout.flush()
            code = reported(error, as_json=values["as_json"]) or DONE
            if code in {LOGIN, UNREACHABLE}:
                break
            continue
        done += 1
        output.one(answer)
    return IN_PART if done and code else code
