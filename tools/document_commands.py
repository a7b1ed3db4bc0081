"""Write the reference of the command line as Markdown, from its commands, options and help texts."""

from collections.abc import Iterator
from typing import Any

from document_rest import cell
from mercato.cli.program import root


def page() -> str:
    """Return the page of all commands, those of shopkeepers and of the host."""
    program = root()
    return "# Commands\n\n" + "\n\n".join(_commands(program, program.make_context("mercato", [], resilient_parsing=True), "mercato")) + "\n"


def _commands(group: Any, context: Any, path: str) -> Iterator[str]:
    for name in group.list_commands(context):
        command, words = group.get_command(context, name), f"{path} {name}"
        yield f"## {words} {{ #{words.replace(' ', '-')} }}\n\n{_prose(command.help or '')}\n\n{_table(command)}".rstrip()
        if hasattr(command, "list_commands"):
            yield from _commands(command, command.make_context(name, [], parent=context, resilient_parsing=True), words)


def _prose(text: str) -> str:
    return text.replace("\f", "").replace("<", "&lt;").replace("[", "\\[").strip()


def _table(command: Any) -> str:
    rows = []
    for each in command.params:
        is_option = bool(each.opts) and each.opts[0].startswith("-")
        name = ", ".join(f"`{opt}`" for opt in (*each.opts, *each.secondary_opts)) if is_option else f"`{each.name.upper()}`"
        rows.append(f"| {name}{', required' if each.required else ''} | {cell(_prose(getattr(each, 'help', None) or ''))} |")
    return "| argument or option | meaning |\n|---|---|\n" + "\n".join(rows) if rows else ""
