"""Logging in and out."""

import getpass
import sys
from typing import NamedTuple

import typer

from mercato.cli.failures import DONE, reported
from mercato.cli.profiles import Profile, Server, client, opened


class LoginOptions(NamedTuple):
    """The arguments of `mercato login`."""

    email: str | None
    server: str | None
    profile: str | None
    keyring: bool
    password_stdin: bool
    as_json: bool
    timeout_s: float | None


def login(options: LoginOptions) -> int:
    """Open a session and save it; returns the exit code."""
    profile = Profile.load(options.profile)
    address = profile.address(options.server)
    server = Server.of(address)
    if not sys.stdin.isatty() and not (options.email and options.password_stdin):
        raise typer.BadParameter("there is no terminal to ask for the password; use EMAIL --password-stdin, or set MERCATO_TOKEN")
    email = options.email or _asked("E-mail: ")
    password = sys.stdin.readline().rstrip("\r\n") if options.password_stdin else getpass.getpass("Password: ")
    chosen = Profile(profile.name, address, options.keyring)
    with opened(server, session=chosen.store(), timeout_s=options.timeout_s) as shop:
        shop.login(email, password)
    chosen.save()
    sys.stderr.write(f"logged in to {server.target} as {email}\n")
    return DONE


def _asked(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip()


def logout(server: str | None, profile: str | None, timeout_s: float | None, *, as_json: bool) -> int:
    """End the session and forget it; returns the exit code."""
    from mercato.errors import MercatoError

    store = Profile.load(profile).store()
    if store.load() is None:
        sys.stderr.write("there is no session\n")
        return DONE
    try:
        with client(server, profile, timeout_s) as shop:
            shop.logout()
    except MercatoError as error:
        store.clear()
        return reported(error, as_json=as_json) or DONE
    store.clear()
    return DONE
