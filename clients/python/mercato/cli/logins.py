"""Logging in and out."""

import getpass
import sys
from typing import Any, NamedTuple

import typer

from mercato.cli.failures import DONE, reported
from mercato.cli.profiles import Profile, Server, opened
from mercato.cli.requests import text
from mercato.cli.streams import tell


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
    email = text(options.email or _asked("E-mail: "), "EMAIL")
    typed = sys.stdin.readline().rstrip("\r\n") if options.password_stdin else getpass.getpass("Password: ")
    chosen = Profile(profile.name, address, options.keyring)
    with chosen.store().locked():  # whether it can keep a session
        pass
    with opened(server, timeout_s=options.timeout_s) as shop:
        shop.login(email, text(typed, "the password"))
        _keep(profile, chosen, shop.session)
    tell(f"logged in to {server.target} as {email}")
    return DONE


def _keep(profile: Profile, chosen: Profile, session: Any) -> None:
    """Save a profile and its session. A session is never beside the address of another server, even if this fails between."""
    if chosen != profile:
        profile.store().clear()
        chosen.save()
    chosen.store().save(session)


def _asked(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip()


def logout(server: str | None, profile: str | None, timeout_s: float | None, *, as_json: bool) -> int:
    """End the stored session and forget it; returns the exit code. MERCATO_TOKEN is not the session, and stays valid."""
    from mercato.errors import MercatoError

    chosen = Profile.load(profile)
    address, store = Server.of(chosen.address(server)), chosen.store()
    if not chosen.is_of(address) or store.load() is None:
        tell(f"there is no session at {address.target}")
        return DONE
    try:
        with opened(address, session=store, timeout_s=timeout_s) as shop:
            shop.logout()
    except MercatoError as error:
        store.clear()
        return reported(error, as_json=as_json) or DONE
    store.clear()
    return DONE
