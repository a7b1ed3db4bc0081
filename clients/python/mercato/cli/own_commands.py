"""Commands that are more than one call: login, logout, whoami, completion, pictures upload."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mercato.cli.described import Connection
from mercato.cli.streams import tidy

USER = ("id", "email", "full_name", "role", "disabled", "email_verified", "create_time")


def add_to(app: typer.Typer) -> None:
    """Add the commands that belong to no group."""
    app.callback()(everywhere)
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("whoami")(whoami)
    app.command("completion")(completion)


def of_group(name: str) -> dict[str, Any]:
    """Return the commands that join a group of the protos."""
    if name != "pictures":
        return {}
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command("upload")(upload)
    return {"upload": typer.main.get_command(app)}


def everywhere(
    server: Connection.server = None,
    profile: Connection.profile = None,
    as_json: Connection.as_json = False,  # noqa: FBT002 - a flag
    timeout: Connection.timeout = None,
) -> None:
    """Take the options of each command that calls a shop before its name too. `Root` and `Group` give them to the command."""


def login(  # noqa: PLR0913, PLR0917 - options of a command
    email: Annotated[str | None, typer.Argument(help="Your e-mail address. Default: asked for.", show_default=False)] = None,
    server: Connection.server = None,
    profile: Connection.profile = None,
    keyring: Annotated[bool, typer.Option("--keyring", help="Keep the session in the keyring of the desktop, not in a file.")] = False,  # noqa: FBT002
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = False,  # noqa: FBT002
    as_json: Connection.as_json = False,  # noqa: FBT002 - a flag
    timeout: Connection.timeout = None,
) -> None:
    """Log in, and keep the session for later commands.

    The password is asked for, or comes from standard input; it is no argument, which other users of the machine could see. Without a
    terminal, set MERCATO_TOKEN instead of logging in.
    """
    from mercato.cli import logins

    raise typer.Exit(logins.login(logins.LoginOptions(email, server, profile, keyring, password_stdin, as_json, timeout)))


def logout(
    server: Connection.server = None,
    profile: Connection.profile = None,
    as_json: Connection.as_json = False,  # noqa: FBT002 - a flag
    timeout: Connection.timeout = None,
) -> None:
    """End the session, and forget it. It is forgotten here even if the shop cannot be reached."""
    from mercato.cli import logins

    raise typer.Exit(logins.logout(server, profile, timeout, as_json=as_json))


def whoami(
    server: Connection.server = None,
    profile: Connection.profile = None,
    as_json: Connection.as_json = False,  # noqa: FBT002 - a flag
    timeout: Connection.timeout = None,
) -> None:
    """Print the account that commands act as."""
    from mercato.cli.output import Output
    from mercato.cli.profiles import client

    with tidy(as_json=as_json), client(server, profile, timeout) as shop:
        Output(USER, as_json=as_json).one(shop.users.get_me())


def upload(  # noqa: PLR0913, PLR0917 - options of a command
    file: Annotated[Path, typer.Argument(help="JPEG, PNG, WebP or GIF; at most 20 MiB.")],
    product: Annotated[str | None, typer.Option("--product", metavar="PRODUCT_ID", help="Show it with this product, last.")] = None,
    alt: Annotated[str, typer.Option("--alt", help="Text for people who do not see the picture.")] = "",
    server: Connection.server = None,
    profile: Connection.profile = None,
    as_json: Connection.as_json = False,  # noqa: FBT002 - a flag
    timeout: Connection.timeout = None,
) -> None:
    """Upload a picture, wait until the shop has verified it, and show it with a product."""
    from mercato.cli import pictures
    from mercato.cli.profiles import client

    with tidy(as_json=as_json), client(server, profile, timeout) as shop:
        code = pictures.upload(shop, file, product, alt, as_json=as_json)
    raise typer.Exit(code)


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument()]) -> None:
    """Print the completion of a shell, to be sourced: `source <(mercato completion bash)`."""
    with tidy():
        sys.stdout.write(SCRIPTS[shell])


SCRIPTS = {
    "bash": """_mercato() {
    local IFS=$'\\n'
    COMPREPLY=( $(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _MERCATO_COMPLETE=complete_bash "$1" 2>/dev/null) )
}
complete -o default -F _mercato mercato
""",
    "zsh": """#compdef mercato
_mercato() {
    eval "$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _MERCATO_COMPLETE=complete_zsh mercato 2>/dev/null)"
}
compdef _mercato mercato
""",
    "fish": """function __mercato_complete
    env _MERCATO_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS=(commandline -cp) mercato 2>/dev/null
end
complete --command mercato --no-files --arguments "(__mercato_complete)"
""",
}
"""Scripts that a shell sources. The variables are those of typer."""
