"""URLs of databases: the servers that a URL names, and the check that it means the primary."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from mercato_server.config.environment import PORT_MAX, ConfigError

PRIMARY = ("primary", "read-write")
CURE = "add target_session_attrs=primary to its parameters"
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s\[\]:]+)?(?::(\d{1,5}))?")
"""A host, its port, or both."""


def checked(database_url: str, env: Mapping[str, str]) -> str:
    """Return the URL of DATABASE_URL; raises ConfigError if it is malformed, or if it could reach a standby.

    The message shows no part of the URL: it may hold a password.
    """
    try:
        named, target = servers(database_url), _parameters(database_url).get("target_session_attrs")
    except ValueError:
        raise ConfigError(
            "DATABASE_URL is no PostgreSQL URL; it must be like postgresql://user:password@host:5432/mercato, with percent-encoded special "
            "characters in the password"
        ) from None
    if target is not None and target not in PRIMARY:
        raise ConfigError(f"DATABASE_URL could reach a standby, which takes no orders: its target_session_attrs is {target}; {CURE}")
    if target is None and len(named) > 1:
        raise ConfigError(f"DATABASE_URL could reach a standby, which takes no orders: it names {len(named)} servers; {CURE}")
    if not place(named[0]) and "," in env.get("PGHOST", ""):
        raise ConfigError("DATABASE_URL names no server, and PGHOST several; name them in DATABASE_URL")
    return database_url


def servers(database_url: str) -> list[str]:
    """Return a URL for each server that a URL names; raises ValueError for a malformed one."""
    parts = urlsplit(database_url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("the scheme must be postgresql")
    auth, at, places = parts.netloc.rpartition("@")
    query = _parameters(database_url)
    if places:
        each_place = [_checked_place(text) for text in places.split(",")]
        _require_hosts([text.partition(":")[0] for text in each_place])
        return [parts._replace(netloc=f"{auth}{at}{text}").geturl() for text in each_place]
    hosts, ports = query.get("host", "").split(","), query.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError("each server must have a port")
    for port in ports:
        _checked_place(f":{port}" if port else "")
    if len(hosts) == 1:
        return [database_url]
    _require_hosts(hosts)
    base = database_url.partition("?")[0]
    each = [query | {"host": host, "port": port} for host, port in zip(hosts, ports, strict=True)]
    return [f"{base}?{urlencode({name: value for name, value in one.items() if value}, safe='/')}" for one in each]


def _parameters(database_url: str) -> dict[str, str]:
    query = urlsplit(database_url).query
    return dict(parse_qsl(query, strict_parsing=True)) if query else {}


def _require_hosts(hosts: Sequence[str]) -> None:
    """Raise ValueError if one of several hosts is empty: it would mean a server of this machine."""
    if len(hosts) > 1 and not all(host.strip() for host in hosts):
        raise ValueError("each server must have a host")


def _checked_place(text: str) -> str:
    """Return the text of a server in a URL; raises ValueError unless it is a host, a port, or both."""
    found = _PLACE.fullmatch(text)
    if found is None or not 0 < int(found[1] or 1) <= PORT_MAX:
        raise ValueError("a server must be host:port")
    return text


def place(server_url: str) -> str:
    """Return the host and port of a URL of one server, without its password, for messages; empty if it names none."""
    query = _parameters(server_url)
    named = (query.get("host", ""), query.get("port", ""))
    return urlsplit(server_url).netloc.rpartition("@")[2] or ":".join(filter(None, named))


def user(database_url: str) -> str:
    """Return the role of a URL; raises ConfigError if it names none."""
    name = unquote(urlsplit(database_url).username or "") or _parameters(database_url).get("user", "")
    if not name:
        raise ConfigError("DATABASE_URL names no user; it must be the role of the workers")
    return name
