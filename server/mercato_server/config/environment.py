"""Readers of environment variables that check their values, and of files with NAME=VALUE lines."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

Number = TypeVar("Number", int, float)

PORT_MAX = 65535
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts of URLs to which a secret may go unencrypted."""


class ConfigError(Exception):
    """A setting is missing or invalid; the message names the variable and the values that it accepts."""


def environ_file(path: Path | None) -> dict[str, str]:
    """Return the variables of a file with NAME=VALUE lines and `#` comments; none if `path` is None. Raises ConfigError."""
    if path is None:
        return {}
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    for name, equals, _ in pairs:
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ConfigError(f"{path} has a line {name + equals!r}; each must be NAME=VALUE, a comment or empty")
    return {name: value for name, _, value in pairs}


def one_of(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return the value of a variable, or its default; raises ConfigError unless it is one of the choices."""
    value = env.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
    return value


def matching(env: Mapping[str, str], name: str, default: str, pattern: str, wanted: str) -> str:
    """Return the value of a variable, or its default; raises ConfigError with `wanted` unless the whole value matches the pattern."""
    value = env.get(name, default)
    if not re.fullmatch(pattern, value):
        raise ConfigError(f"{name} is {value!r}; it must be {wanted}")
    return value


def integer(env: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    """Return the value of a variable, or its default; raises ConfigError unless it is an integer from `low` to `high`."""
    return _number(env, name, default, int, low, high)


def address(env: Mapping[str, str], name: str) -> tuple[str, int] | None:
    """Return the host and port in a variable, None if it is unset; raises ConfigError unless it is `host:port` or `[IPv6]:port`."""
    value = env.get(name, "")
    if not value:
        return None
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", value)
    if found is None or not 1 <= int(found[3]) <= PORT_MAX:
        raise ConfigError(f"{name} is {value!r}; it must be host:port, such as 127.0.0.1:9464")
    return found[1] or found[2], int(found[3])


def private_url(name: str, raw: str) -> str:
    """Return a URL to which a secret may go; raises ConfigError unless it is of https, or of this machine.

    Errors never show the URL, because it may hold a secret.
    """
    wanted = ConfigError(f"{name} must be an https URL without a user, or an http URL of this machine")
    try:
        url = urlsplit(raw)
        port = url.port
    except ValueError:
        raise wanted from None
    is_private = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    if not is_private or not url.hostname or port == 0 or url.fragment or url.username is not None or re.search(r"[^!-~]", raw):
        raise wanted
    return raw


def seconds(env: Mapping[str, str], name: str, default: float) -> float:
    """Return the seconds in a variable, or its default; raises ConfigError unless it is a number from 0 to 3600."""
    return _number(env, name, default, float, 0.0, 3600.0)


def _number(env: Mapping[str, str], name: str, default: Number, kind: Callable[[str], Number], low: Number, high: Number) -> Number:
    raw = env.get(name)
    if raw is None:
        return default
    wanted = ConfigError(f"{name} is {raw!r}; it must be a number from {low} to {high}")
    try:
        value = kind(raw)
    except ValueError:
        raise wanted from None
    if not low <= value <= high:
        raise wanted
    return value
