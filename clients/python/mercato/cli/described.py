"""The commands that tools/command_line.py has made of the protos, and their arguments for typer."""

import inspect
import json
import keyword
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, NamedTuple

import typer

VALUE_NAMES = {"int": "NUMBER", "minor": "AMOUNT", "money": "AMOUNT", "time": "TIME", "json": "JSON"}
AMOUNT_NOTE = " Such as 19.99 or '19.99 EUR'."
NOTES = {"minor": AMOUNT_NOTE, "money": AMOUNT_NOTE, "time": " ISO 8601 with an offset or Z.", "json": " proto3 JSON, or @FILE."}
"""Notes of the help about a kind of value."""
TIMEOUT_MAX_S = 86_400
"""A day: gRPC takes much longer times for none at all."""
LIMIT_MAX = 1_000_000_000


class Argument(NamedTuple):
    """A field of the request that is a positional argument."""

    field: str
    metavar: str


@dataclass(frozen=True, slots=True)
class Option:
    """A field of the request that is an option."""

    name: str
    field: str
    help: str
    repeated: bool
    required: bool
    kind: str
    """text, int, bool, enum, money, minor (an amount in a field of minor units), time, parts or json."""
    choices: tuple[str, ...] = ()
    prefix: str = ""
    """Of the names of an enum's values."""
    parts: tuple[dict[str, Any], ...] = ()
    """Fields of a message that is written as A=B=C."""
    metavar: str = ""

    @property
    def key(self) -> str:
        """The name of its parameter."""
        name = self.name.replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) else name


@dataclass(frozen=True, slots=True)
class Command:
    """A command that makes one call, or one for each id."""

    rpc: str
    """Such as `catalog.get_product`."""
    request: str
    """Full name of its message."""
    help: str
    arguments: tuple[Argument, ...]
    options: tuple[Option, ...]
    columns: tuple[str, ...]
    items: str
    """Field of a page with its items; empty if it is no list."""
    mask: str | None
    """Prefix of the fields that an update mask names, such as `product.`; None without a mask."""
    etag: str
    """Path of the etag in the request; empty without one."""
    key: bool
    """Whether it takes an idempotency key."""
    destroys: bool
    many: bool
    """Whether it takes several ids."""

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Command":
        """Read a command of commands.json."""
        return cls(
            **{
                **told,
                "arguments": tuple(Argument(**each) for each in told["arguments"]),
                "options": tuple(Option(**each) for each in told["options"]),
                "columns": tuple(told["columns"]),
            }
        )


@cache
def groups() -> dict[str, Any]:
    """Return every group with its help and its commands by name, as they are in commands.json."""
    told: dict[str, Any] = json.loads(files("mercato.cli").joinpath("commands.json").read_text(encoding="utf-8"))
    return told


class Connection:
    """The options of every command that calls a shop."""

    server = Annotated[
        str | None,
        typer.Option("--server", metavar="ADDRESS", help="HOST:PORT of the shop, or its https:// address. Default: that of the profile."),
    ]
    profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="Login to use. Default: MERCATO_PROFILE, or default.")]
    as_json = Annotated[bool, typer.Option("--json", help="Print JSON as REST has it; a list is one object a line. Errors are JSON too.")]
    timeout = Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0.001, max=TIMEOUT_MAX_S, help="Most seconds of each call.")
    ]


def typed(name: str, command: Command) -> Any:
    """Return a command of typer."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    def run(**values: Any) -> None:
        from mercato.cli import calls

        raise typer.Exit(calls.run(command, values))

    run.__signature__ = inspect.Signature(list(_parameters(command)))  # type: ignore[attr-defined] # any function has one
    run.__annotations__ = {each.name: each.annotation for each in run.__signature__.parameters.values()}  # type: ignore[attr-defined]
    app.command(name, help=command.help)(run)
    return typer.main.get_command(app)


def _parameters(command: Command) -> Iterator[inspect.Parameter]:
    for number, argument in enumerate(command.arguments):
        kind: Any = list[str] if command.many else str
        annotation = Annotated[kind, typer.Argument(metavar=argument.metavar, show_default=False)]
        yield _parameter(f"id_{number}", annotation, inspect.Parameter.empty)
    for option in command.options:
        yield _parameter(option.key, Annotated[_type(option), _info(option)], inspect.Parameter.empty if option.required else None)
    if command.mask is not None:
        field: Any = _choice(option.name for option in command.options)
        yield _parameter("clear", Annotated[list[field] | None, typer.Option("--clear", help="Empty this field.", metavar="FIELD")], None)
    if command.etag:
        yield _parameter("etag", Annotated[str | None, typer.Option("--etag", help="Change it only if it still has this etag.")], None)
    if command.key:
        told = "Key of a command that you repeat because its outcome is unknown."
        yield _parameter("idempotency_key", Annotated[str | None, typer.Option("--idempotency-key", metavar="KEY", help=told)], None)
    if command.destroys:
        yield _parameter("yes", Annotated[bool, typer.Option("--yes", help="Do not ask.")], default=False)
    if command.items:
        told = "Most lines; 0 for all. Default: 50 on a terminal, else all."
        yield _parameter("limit", Annotated[int | None, typer.Option("--limit", metavar="NUMBER", min=0, max=LIMIT_MAX, help=told)], None)
    yield _parameter("server", Connection.server, None)
    yield _parameter("profile", Connection.profile, None)
    yield _parameter("as_json", Connection.as_json, default=False)
    yield _parameter("timeout", Connection.timeout, None)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _type(option: Option) -> Any:
    if option.kind == "bool":
        return bool | None
    one: Any = _choice(option.choices) if option.choices else int if option.kind == "int" else str
    whole: Any = list[one] if option.repeated else one
    return whole if option.required else whole | None


def _choice(values: Iterable[str]) -> Any:
    """Return the type of a choice of texts. typer takes no list of Literals."""
    return StrEnum("Choice", [(value, value) for value in values])


def _info(option: Option) -> Any:
    told = option.help.partition("\n")[0] + NOTES.get(option.kind, "")
    flag = f"--{option.name}/--no-{option.name}" if option.kind == "bool" else f"--{option.name}"
    metavar = option.metavar or VALUE_NAMES.get(option.kind)
    return typer.Option(flag, help=told, show_default=False, metavar=metavar)
