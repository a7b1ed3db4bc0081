"""The command line as a whole: the commands of protos, login and the like, and those that programs of the host add."""

import io
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import typer
from typer.core import TyperGroup

from mercato.cli import described, streams

ENTRY_POINTS = "mercato.commands"
UNHAPPY = 1


class Host(Protocol):
    """Commands that a program adds.

    An entry point of `mercato.commands` has the name of each command, and this object.
    """

    app: typer.Typer

    def prepare(self) -> None:
        """Do what its commands need before they run."""

    def explain(self, error: Exception) -> str | None:
        """Return what to do about an error, in one line; None for a fault of the program."""


@cache
def added() -> dict[str, EntryPoint]:
    """Return the entry points by the names of the commands that they add. Loading none of them, this takes no time."""
    return {each.name: each for each in sorted(entry_points(group=ENTRY_POINTS), key=lambda each: each.name)}


@cache
def prepared(name: str) -> Host | None:
    """Load the program that adds a command, and prepare it; None if no program does."""
    if name not in added():
        return None
    host: Host = added()[name].load()
    if host not in _hosts:
        _hosts.append(host)
        host.prepare()
    return host


_hosts: list[Host] = []
"""Those that are loaded."""


def hosted(name: str) -> Any:
    """Return a command that a program of the host adds; None if no program does."""
    host = prepared(name)
    return None if host is None else _plain(typer.main.get_group(host.app).commands[name])


def _plain(command: Any) -> Any:
    """Let a command and its subcommands print their help without rich, which takes time to load."""
    command.rich_markup_mode = None
    for each in getattr(command, "commands", {}).values():
        _plain(each)
    return command


def _with(root: Any, rest: list[str], *, takes_them: bool) -> list[str]:
    """Return the words after a command, led by the options before it; a later one of the same name wins."""
    given = [option for option in root.command.params if root.params.get(option.name)]
    if given and not takes_them:
        raise typer.BadParameter("belongs to commands that call a shop", param_hint=given[0].opts[0])
    flags = [option.opts[0] if option.is_flag else f"{option.opts[0]}={root.params[option.name]}" for option in given]
    return [*flags, *rest]


class Group(TyperGroup):
    """A group of commands of protos, with those that the host adds to it. A command is made when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        """Return the names of its commands."""
        return [*self._described(), *self.commands, *(name for name in self._hosted() if name not in self._described())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as typer calls it
        """Return a command; None if there is none of this name."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        if told := self._described().get(cmd_name):
            return described.typed(cmd_name, described.Command.of(told))
        return self._hosted().get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Give a command the options that were written before its group."""
        name, command, rest = super().resolve_command(ctx, args)
        takes_them = name in self._described() or name in self.commands
        return name, command, _with(ctx.parent, rest, takes_them=takes_them)

    def _described(self) -> dict[str, Any]:
        commands: dict[str, Any] = described.groups()[str(self.name)]["commands"]
        return commands

    def _hosted(self) -> dict[str, Any]:
        found: dict[str, Any] = getattr(hosted(str(self.name)), "commands", {})
        return found


class Root(TyperGroup):
    """All commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Give a command the options that were written before it."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, Group):
            return name, command, rest  # which gives them to its own commands
        return name, command, _with(ctx, rest, takes_them=name in self.commands and name != "completion")

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        """Return the names of its commands."""
        known = [*self.commands, *described.groups()]
        return [*known, *(name for name in added() if name not in known)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as typer calls it
        """Return a command; None if there is none of this name."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        if cmd_name not in described.groups():
            return hosted(cmd_name)
        from mercato.cli import own_commands

        told = described.groups()[cmd_name]["help"]
        added = own_commands.of_group(cmd_name)
        return Group(name=cmd_name, help=told, commands=added, no_args_is_help=True, rich_markup_mode=None)


def root() -> Any:
    """Return the command `mercato`."""
    from mercato.cli import own_commands

    app = typer.Typer(
        name="mercato",
        cls=Root,
        help="Mercato: a commerce backend. Commands that call a shop, and on its host those that run it.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    own_commands.add_to(app)
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; an error that the caller can mend is one line, without a stack trace."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _code(root().main(words, prog_name="mercato", standalone_mode=False))
    except typer.Abort:
        return _answered_no(as_json="--json" in words)
    except Exception as error:
        if isinstance(error, typer.BadParameter.__mro__[2]):  # each error of usage
            return _misused(error, as_json="--json" in words)
        from mercato.cli import failures

        code = failures.reported(error, as_json="--json" in words)
        if code is not None:
            return code
        told = next((text for host in _hosts if (text := host.explain(error)) is not None), None)
        if told is None:
            raise
        streams.tell(f"mercato: {told}")
        return UNHAPPY


def _code(answer: Any) -> int:
    return answer if isinstance(answer, int) else 0


def _answered_no(*, as_json: bool) -> int:
    if as_json:
        from mercato.cli import failures

        failures.tell_json(streams.CANCELLED, "the caller answered no")
    else:
        streams.tell("Aborted!")
    return UNHAPPY


def _misused(error: Any, *, as_json: bool) -> int:
    if as_json:
        from mercato.cli import failures

        failures.tell_json(3, error.format_message())
    else:
        told = io.StringIO()
        error.show(told)
        streams.tell(*told.getvalue().rstrip("\n").split("\n"))
    return int(error.exit_code)
