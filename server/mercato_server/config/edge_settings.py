"""Settings of the edge: what Envoy's configuration is rendered from."""

import os
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mercato_server.config.environment import ConfigError, integer, one_of, seconds
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Limits
from mercato_server.config.trace_settings import trace_proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Absolute paths of two PEM files: the certificate followed by its intermediate certificates, and its private key."""

    certificate: str
    key: str

    @classmethod
    def from_environ(cls, env: Mapping[str, str]) -> Self | None:
        """Read the settings; None without TLS. Raises ConfigError unless a server can use the files."""
        paths = {name: env.get(name, "") for name in ("MERCATO_TLS_CERT", "MERCATO_TLS_KEY")}
        if not any(paths.values()):
            return None
        for name, path in paths.items():
            if not path:
                raise ConfigError(f"{name} is not set; TLS needs both MERCATO_TLS_CERT and MERCATO_TLS_KEY")
            try:
                Path(path).read_bytes()
            except OSError as error:
                raise ConfigError(f"{name} is {path!r}, which cannot be read: {error.strerror}") from None
        certificate, key = (str(Path(path).absolute()) for path in paths.values())
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")  # or it would ask for one
        except ssl.SSLError as error:
            wanted = "they must be PEM files of a certificate and its key, the key without a password"
            raise ConfigError(f"MERCATO_TLS_CERT is {certificate!r} and MERCATO_TLS_KEY {key!r}; {wanted} ({error.reason})") from None
        return cls(certificate=certificate, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCache:
    """Where Envoy keeps catalog answers for anonymous callers, and how many.

    An entry is of use for a second, so there need not be room for more than the hits of a second.
    """

    directory: Path
    """Only Envoy's account may enter it. It should be in memory (tmpfs), because hot entries are written every second."""
    size_bytes: int = 16 * 1024 * 1024
    """Sum of the files from which on Envoy removes the least recently used. Containers have 64 MiB of /dev/shm, which PostgreSQL shares."""
    entries: int = 1_000
    """Number of files from which on it does so. It then reads the whole directory, so few are better than many."""
    threads: int = 2
    """Threads that read and write the files."""
    name: str = field(default_factory=lambda: secrets.token_hex(16))
    """Host in the key of every entry. It is secret: Envoy finds a file by 64 bits of hash, for which a client could compute a collision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """Settings from which the Envoy configuration is rendered."""

    listen_host: str = "127.0.0.1"
    port: int = 8080
    admin_port: int = 0
    """Port of Envoy's admin page on 127.0.0.1; 0 leaves it off the network."""
    admin_path: str = ""
    """Unix socket of the admin page, instead of a port; the mode of its directory says who may use it."""
    upstreams: tuple[str, ...] = ("127.0.0.1:50051",)
    """gRPC addresses of the workers: `host:port` or `unix:/path`."""
    upstream_workers: int | None = None
    """Number of workers behind these addresses, if a name stands for several; None means one for each address."""
    spares: int = 0
    """How many of these addresses have a worker only while one worker replaces another."""
    tls: TlsFiles | None = None
    """Certificate and key of the port; None means plaintext."""
    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may call from; `*` for any."""
    rate_limits: bool = True
    """Requests per client address and per token are limited; off for tests and benchmarks only."""
    requests_per_s: int = 100
    """Per client address, over all routes."""
    token_requests_per_s: int = 100
    """Per access token, over all routes and client addresses."""
    credentials_per_minute: int = 20
    """Per client address, on each RPC that needs no token and changes something: login, signup and the like."""
    trusted_hops: int = 0
    """Proxies in front of Envoy that append to X-Forwarded-For; with 0 the connection's address is the client's."""
    tells_proxies: bool = False
    """Whether workers hear from which address a request came to Envoy, because they continue the traces of some proxies."""
    health_interval_s: float = 2.0
    refused_logged_percent: int = 10
    """Share of the refused calls that the access log has. It has all others."""
    drain_s: float = 4.0
    """Time for which a stopping edge still takes connections, and tells each client to close its own."""
    grace_s: float = 10.0
    """Time that calls in flight get to end after that."""
    cache: EdgeCache | None = None
    """Cache of catalog answers; None means that workers answer every call."""
    holding: Holding = field(default_factory=Holding)
    limits: Limits = field(default_factory=Limits)

    @property
    def workers(self) -> int:
        """Number of workers that take calls at a time."""
        return self.upstream_workers or len(self.upstreams) - self.spares

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        origins = env.get("MERCATO_CORS_ORIGINS", "")
        return cls(
            listen_host=env.get("MERCATO_EDGE_HOST", "127.0.0.1"),
            upstreams=tuple(env.get("MERCATO_UPSTREAMS", "127.0.0.1:50051").split(",")),
            upstream_workers=integer(env, "MERCATO_UPSTREAM_WORKERS", 1, low=1, high=1_000)
            if env.get("MERCATO_UPSTREAM_WORKERS")
            else None,
            tls=TlsFiles.from_environ(env),
            cors_origins=tuple(origin.strip() for origin in origins.split(",") if origin.strip()),
            rate_limits=one_of(env, "MERCATO_RATE_LIMITS", "on", ("on", "off")) == "on",
            requests_per_s=integer(env, "MERCATO_REQUESTS_PER_SECOND", 100, low=1, high=1_000_000),
            token_requests_per_s=integer(env, "MERCATO_TOKEN_REQUESTS_PER_SECOND", 100, low=1, high=1_000_000),
            credentials_per_minute=integer(env, "MERCATO_CREDENTIALS_PER_MINUTE", 20, low=1, high=1_000_000),
            trusted_hops=integer(env, "MERCATO_TRUSTED_HOPS", 0, low=0, high=16),
            tells_proxies=bool(trace_proxies(env)),
            refused_logged_percent=integer(env, "MERCATO_ACCESS_LOG_REFUSED", 10, low=0, high=100),
            drain_s=seconds(env, "MERCATO_DRAIN_SECONDS", 4.0),
            grace_s=seconds(env, "MERCATO_GRACE_SECONDS", 10.0),
            holding=Holding.from_environ(env),
        )
