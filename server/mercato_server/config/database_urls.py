"""URLs of databases: the servers that a URL names, and the check that it means the primary."""

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from mercato_server.config.environment import ConfigError

PRIMARY = ("primary", "read-write")
CURE = "add target_session_attrs=primary to its parameters"


def checked(name: str, database_url: str) -> str:
    """Return the URL; raises ConfigError that names the variable if the URL is malformed, or if it could reach a standby."""
    try:
        named, target = servers(database_url), dict(parse_qsl(urlsplit(database_url).query)).get("target_session_attrs")
    except ValueError as error:
        raise ConfigError(f"{name} is no PostgreSQL URL: {error}") from None
    if target is not None and target not in PRIMARY:
        raise ConfigError(f"{name} could reach a standby, which takes no orders: its target_session_attrs is {target}; {CURE}")
    if target is None and len(named) > 1:
        raise ConfigError(f"{name} could reach a standby, which takes no orders: it names {len(named)} servers; {CURE}")
    return database_url


def servers(database_url: str) -> list[str]:
    """Return a URL for each server that a URL names; raises ValueError for a malformed one."""
    parts = urlsplit(database_url)
    auth, at, places = parts.netloc.rpartition("@")
    if places:
        return [parts._replace(netloc=f"{auth}{at}{place}").geturl() for place in places.split(",")]
    query = dict(parse_qsl(parts.query))
    hosts, ports = query.get("host", "").split(","), query.get("port", "").split(",")
    if len(hosts) == 1:
        return [database_url]
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError(f"it has {len(hosts)} hosts and {len(ports)} ports")
    each = [query | {"host": host, "port": port} for host, port in zip(hosts, ports, strict=True)]
    base = database_url.partition("?")[0]
    return [f"{base}?{urlencode({name: value for name, value in one.items() if value}, safe='/')}" for one in each]


def place(server_url: str) -> str:
    """Return the host and port of a URL of one server, without its password, for messages."""
    parts = urlsplit(server_url)
    return parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "")


def user(database_url: str) -> str:
    """Return the role of a URL; raises ConfigError if it names none."""
    parts = urlsplit(database_url)
    name = unquote(parts.netloc.rpartition("@")[0].partition(":")[0]) or dict(parse_qsl(parts.query)).get("user", "")
    if not name:
        raise ConfigError("DATABASE_URL names no user; it must be the role of the workers")
    return name
