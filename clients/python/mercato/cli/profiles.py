"""Logins by name: the address of a shop, and the store of its session."""

import ipaddress
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
DEFAULT_SERVER = "127.0.0.1:8080"


class ProfileError(Exception):
    """A profile or an address that cannot be used; its message says what to do."""


class Server(NamedTuple):
    """Where a shop is."""

    target: str
    """`host:port`."""
    tls: bool

    @classmethod
    def of(cls, text: str) -> "Server":
        """Read an address. One without a scheme is plaintext on this machine alone, so that no password leaves it unencrypted."""
        has_scheme = "://" in text
        try:
            parts = urlsplit(text if has_scheme else f"//{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port, parts = "", None, urlsplit("")
        if not HOST.fullmatch(host) or parts.scheme not in {"", "http", "https"} or parts.path.strip("/") or parts.query or parts.username:
            raise ProfileError(f"{text!r} is no address of a shop; write HOST:PORT, or https://HOST")
        tls = parts.scheme == "https" or (not has_scheme and not _is_here(host))
        port = port or (443 if tls else 80 if has_scheme else 8080)
        return cls(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", tls)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Profile:
    """A login, as `mercato login` has saved it."""

    name: str
    server: str = ""
    """As the caller wrote it; empty before a login."""
    keyring: bool = False

    @classmethod
    def load(cls, name: str | None) -> "Profile":
        """Return a profile; one that was never saved is empty. Raises ProfileError."""
        name = name or os.environ.get("MERCATO_PROFILE") or "default"
        if not NAME.fullmatch(name):
            raise ProfileError(f"{name!r} is no name of a profile: letters, digits, -, _ and ., at most 64")
        path = _directory() / f"{name}.profile.json"
        try:
            told: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(name, str(told["server"]), bool(told.get("keyring")))
        except FileNotFoundError:
            return cls(name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ProfileError(f"{path} cannot be read; remove it, and run: mercato login") from None

    def save(self) -> None:
        """Replace the file of the profile, as a whole. Raises SessionStoreError, since no session can be kept without it."""
        from mercato.sessions import SessionStoreError

        try:
            directory = _directory()
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=directory, encoding="utf-8", delete=False) as file:
                try:
                    json.dump({"server": self.server, "keyring": self.keyring}, file)
                    file.flush()
                    Path(file.name).replace(directory / f"{self.name}.profile.json")
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise SessionStoreError(f"{_directory()}: {error.strerror}") from None

    def store(self) -> Any:
        """Return the store of its session."""
        from mercato.sessions import FileStore, KeyringStore

        return KeyringStore(self.name) if self.keyring else FileStore(_directory() / f"{self.name}.session.json")

    def is_of(self, address: Server) -> bool:
        """Tell whether the login was at this server."""
        return bool(self.server) and Server.of(self.server) == address

    def address(self, server: str | None) -> str:
        """Return the address to call: that of the command, of MERCATO_SERVER, of the profile, or of a shop on this machine."""
        return server or os.environ.get("MERCATO_SERVER") or self.server or DEFAULT_SERVER


def _directory() -> Path:
    above = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(above) if above.startswith("/") else Path.home() / ".config") / "mercato"


def client(server: str | None, profile: str | None, timeout_s: float | None) -> Any:
    """Return a client of a shop, with MERCATO_TOKEN or the session of the profile.

    The session of a profile goes to the server of its login alone.
    """
    chosen = Profile.load(profile)
    address, token = Server.of(chosen.address(server)), _token()
    session = chosen.store() if token is None and chosen.is_of(address) else None
    return opened(address, token=token, session=session, timeout_s=timeout_s)


def _token() -> str | None:
    """Return the access token of MERCATO_TOKEN; None if it is unset or empty. Raises SessionStoreError for what no header can hold."""
    from mercato.sessions import SessionStoreError

    token = os.environ.get("MERCATO_TOKEN", "").strip()
    if not re.fullmatch("[!-~]*", token):
        raise SessionStoreError("MERCATO_TOKEN holds no access token")
    return token or None


def opened(address: Server, *, token: str | None = None, session: Any = None, timeout_s: float | None) -> Any:
    """Return a client of a shop. gRPC's own log would mix with errors on standard error."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC reads it when it is loaded
    from mercato.client import Client

    return Client(address.target, token=token, session=session, tls=address.tls, timeout=timeout_s)
