"""Settings: one frozen dataclass, read from the environment here and nowhere else."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from mercato_server.config.environment import ConfigError, address, integer, matching, one_of, seconds

SECRET_KEY_MIN_BYTES = 32
"""RFC 7518 section 3.2: an HS256 key has at least the hash's 256 bits."""
SECRET_KEY_MIN_VARIETY = 8
"""Least number of different characters. A key with fewer is a placeholder; random hexadecimal digits practically never have fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that are the same for all requests."""

    page_size_default: int = 20
    page_size_max: int = 100
    skip_max: int = 1_000
    total_size_max: int = 10_000
    batch_get_max: int = 100
    search_ranked_max: int = 200
    """Newest matches of a search that are ranked by relevance. To rank one costs as much as to read ten."""
    search_walked_max: int = 2_000
    """Products that a search reads in the order of price or name before it asks the index for all matches."""
    corrected_words_max: int = 8
    """Words of a query without matches that are corrected; each costs one search among the words of all products."""
    completions_max: int = 16
    """Words of products for which a query's last word may be the beginning."""
    cached_pages: int = 500
    """First pages of lists that a worker keeps in memory, 8 KB each if they have 20 products, 64 KiB at most."""
    request_bytes: int = 64 * 1024
    response_bytes: int = 4 * 1024 * 1024
    concurrent_calls: int = 1_024
    """Calls in flight per worker before further ones are shed with RESOURCE_EXHAUSTED."""
    password_queue: int = 16
    """Password hashes waiting per worker before logins and signups are shed: at 0.25 s of a core each, the deadline allows no more."""
    password_refusal_s: float = 1.0
    """Delay of the answer to a login that is shed. It slows down clients that retry at once."""
    password_refusals: int = 256
    """Shed logins that are delayed at the same time, per worker. Others are refused at once, so they cannot use up `concurrent_calls`."""
    slow_call_s: float = 1.0
    """A call that takes longer is logged as a warning."""
    timeout_s: float = 2.0
    """Deadline of a call without one, unless the RPC's policy sets another."""
    timeout_max_s: float = 30.0
    """Longest deadline that a caller can set."""
    mails_per_hour: int = 5
    """Mails of one kind per address and hour."""
    mail_timeout_s: float = 20.0
    """Time limit for handing one mail to the SMTP server."""
    mail_lease_s: float = 30.0
    """Lease of a mail by the worker that sends it; longer than sending can take."""
    mail_retry_max_s: float = 60.0
    """Longest pause before the next try to send a mail."""
    background_connections: int = 2
    """Database connections of a worker beside its pool, for jobs and consumers of the change feed."""
    feed_tries: int = 5
    """How often a consumer of the change feed tries an event before it is put into quarantine."""
    feed_pause_s: float = 1.0
    """Pause between the first two tries; it doubles each time, up to a minute."""
    feed_upkeep_s: float = 10.0
    """How often a consumer looks whether events in its quarantine are to be tried again."""
    feed_lost_s: float = 30 * 24 * 60 * 60.0
    """A consumer that has not moved for so long is lost: events are swept unread."""
    task_pause_s: float = 0.1
    """Pause before a background task that died is started again; it doubles with each failure in a row."""
    task_pause_max_s: float = 30.0
    """Longest of these pauses."""
    task_away_pause_s: float = 1.0
    """Longest of these pauses while the database cannot be reached."""
    task_steady_s: float = 60.0
    """A failure after this running time is not one in a row."""
    statement_timeout_s: float = 10.0
    lock_timeout_s: float = 4.0
    idle_in_transaction_timeout_s: float = 10.0
    connect_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Batching:
    """Bounds of a coalescer: how many calls share a transaction, and how many transactions run at once."""

    batch_max: int = 64
    in_flight_max: int = 2
    """Batches that run at once: Python prepares one while PostgreSQL executes the other."""
    beside_min: int = 16
    """Least number of waiting calls that starts a batch beside a running one. Fewer calls are served sooner in the next batch."""
    queue_max: int = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLimits:
    """Bounds of `mercato import`."""

    batch_rows: int = 1_000
    """Products per transaction. Buyers of the products that it changes wait for it."""
    rows_max: int = 5_000_000
    """Products in a file. Their SKUs are kept in memory, about 150 bytes each, to find duplicates."""
    bad_rows_shown: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """How passwords are hashed."""

    pepper: str = field(default="", repr=False)
    """A secret that is not in the database. If it is lost or changed, no stored password verifies any more."""
    cost: int = 12
    """bcrypt's cost: 2 ** cost rounds, about 0.25 s of a core at 12."""
    threads: int = 2
    """Hashes computed at once; each thread waits for its own process."""
    priority: str = "idle"
    """`idle`: hashing takes only processor time that is left over. `normal`: it competes like other processes."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            pepper=env.get("MERCATO_PASSWORD_PEPPER", ""),
            cost=integer(env, "MERCATO_BCRYPT_COST", 12, low=4, high=16),
            threads=integer(env, "MERCATO_BCRYPT_THREADS", os.cpu_count() or 1, low=1, high=64),
            priority=one_of(env, "MERCATO_HASHING_PRIORITY", "idle", ("idle", "normal")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """The SMTP server that takes outgoing mail."""

    host: str
    port: int
    security: str
    """`none`, `starttls` or `tls`."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Destination and sender of mail. Without a server and a directory mails stay queued, and are dropped after a week."""

    smtp: SmtpServer | None = None
    directory: str | None = None
    """Directory that gets one file for each mail, instead of a server."""
    sender: str = "Mercato <no-reply@localhost>"
    public_url: str = ""
    """URL of the shop's pages, for links in mails. Without it a mail names the call to make instead."""
    per_second: int = 10
    """Most mails that a worker sends per second. Each takes about 6 ms of the core that also serves calls."""

    @property
    def delivers(self) -> bool:
        """Whether a server or a directory is set."""
        return self.smtp is not None or self.directory is not None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        sender = env.get("MERCATO_MAIL_FROM", "Mercato <no-reply@localhost>")
        if not re.fullmatch(r"[^@<>\r\n]*<[^@<>\s]+@[^@<>\s]+>|[^@<>\s]+@[^@<>\s]+", sender):
            raise ConfigError(f"MERCATO_MAIL_FROM is {sender!r}; it must be an address, such as Our Shop <shop@example.com>")
        public_url = env.get("MERCATO_PUBLIC_URL", "").rstrip("/")
        if public_url and not re.fullmatch(r"https?://[^\s?#]+", public_url):
            raise ConfigError(f"MERCATO_PUBLIC_URL is {public_url!r}; it must be an http or https URL, such as https://shop.example.com")
        return cls(
            smtp=_smtp_server(env),
            directory=env.get("MERCATO_MAIL_DIR") or None,
            sender=sender,
            public_url=public_url,
            per_second=integer(env, "MERCATO_MAILS_PER_SECOND", 10, low=1, high=1_000),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one server process."""

    database_url: str
    secret_key: str = field(repr=False)
    algorithm: str = "EdDSA"
    """How access tokens are signed: by keys in the database (EdDSA), or by the secret itself (HS256, HS384, HS512)."""
    access_token_expire_minutes: int = 10
    hashing: Hashing = field(default_factory=Hashing)
    mail: MailSettings = field(default_factory=MailSettings)
    currency: str = "USD"
    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    pool_size: int = 8
    batch_max: int = 64
    """Most concurrent checkouts, or cart calls, that share one transaction; 1 gives each its own."""
    cached_products: int = 100_000
    """Most products that a worker keeps in memory, about 1 KB each; 0 turns the cache off."""
    metrics_listen: tuple[str, int] | None = None
    """Host and port of the metrics for Prometheus; None turns them off."""
    shared_memory: str = ""
    """File that the workers of a host map into memory. By it each sees at once what another changed; without it after 250 ms."""
    log_level: str = "info"
    log_format: str = "json"
    failpoints: str = ""
    """Places where the process kills itself, for fault tests: `place=probability`, separated by commas."""
    drain_s: float = 4.0
    """Time between NOT_SERVING and closing: two health-check intervals of the edge. As long again if calls still arrive."""
    grace_s: float = 10.0
    """Time that calls in flight get to end after that."""
    interrupt_grace_s: float = 2.0
    """Upper bound of `grace_s` after SIGINT, which does not wait for the edge either."""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is missing or wrong."""
        env = os.environ if environ is None else environ
        return cls(
            database_url=database_url(env),
            secret_key=secret_key(env),
            algorithm=one_of(env, "ALGORITHM", "EdDSA", ("EdDSA", "HS256", "HS384", "HS512")),
            access_token_expire_minutes=integer(env, "ACCESS_TOKEN_EXPIRE_MINUTES", 10, low=1, high=24 * 60),
            hashing=Hashing.from_environ(env),
            mail=MailSettings.from_environ(env),
            currency=currency(env),
            listen=tuple(env.get("MERCATO_LISTEN", "127.0.0.1:50051").split(",")),
            pool_size=integer(env, "MERCATO_POOL_SIZE", 8, low=1, high=200),
            batch_max=integer(env, "MERCATO_BATCH_MAX", 64, low=1, high=256),
            cached_products=integer(env, "MERCATO_CACHED_PRODUCTS", 100_000, low=0, high=10_000_000),
            metrics_listen=address(env, "MERCATO_METRICS_LISTEN"),
            shared_memory=env.get("MERCATO_SHARED_MEMORY", ""),
            log_level=one_of(env, "MERCATO_LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
            log_format=one_of(env, "MERCATO_LOG_FORMAT", "json", ("json", "console")),
            failpoints=env.get("MERCATO_TEST_FAILPOINTS", ""),
            drain_s=seconds(env, "MERCATO_DRAIN_SECONDS", 4.0),
            grace_s=seconds(env, "MERCATO_GRACE_SECONDS", 10.0),
        )


def database_url(env: Mapping[str, str] | None = None) -> str:
    """Return DATABASE_URL, or raise ConfigError."""
    value = (os.environ if env is None else env).get("DATABASE_URL", "")
    if not value:
        raise ConfigError("DATABASE_URL is not set; it must be a PostgreSQL URL, such as postgresql://user@host/mercato")
    return value


def optional_database_url() -> str | None:
    """Return DATABASE_URL, or None."""
    return os.environ.get("DATABASE_URL") or None


def optional_secret_key(env: Mapping[str, str] | None = None) -> str | None:
    """Return SECRET_KEY, or None if it is not set; raises ConfigError if it is weak."""
    return secret_key(env) if (os.environ if env is None else env).get("SECRET_KEY") else None


def currency(env: Mapping[str, str] | None = None) -> str:
    """Return MERCATO_CURRENCY, or its default; raises ConfigError if it is no code of a currency."""
    return matching(os.environ if env is None else env, "MERCATO_CURRENCY", "USD", r"[A-Z]{3}", "an ISO 4217 code, such as EUR")


def admin_password() -> str | None:
    """Return MERCATO_ADMIN_PASSWORD, or None."""
    return os.environ.get("MERCATO_ADMIN_PASSWORD")


def data_home() -> str:
    """Return the directory that holds per-user application data: XDG Base Directory; /var/lib for root. Raises ConfigError without one."""
    if os.geteuid() == 0:
        return "/var/lib"
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 - the caller makes the path
    if home.startswith("~"):
        raise ConfigError("HOME is not set and this user has no home directory; set HOME, or name a directory with --data-dir")
    return home


def drop_libpq_variables() -> None:
    """Remove PGSSLMODE, PGSERVICE and the like from the environment: the URL of an embedded database is complete."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def child_environ(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child process: this one's with some variables replaced."""
    return {**os.environ, **overrides}


def secret_key(env: Mapping[str, str] | None = None) -> str:
    """Return SECRET_KEY, or raise ConfigError if it is missing or weak."""
    value = (os.environ if env is None else env).get("SECRET_KEY", "")
    if len(value.encode()) < SECRET_KEY_MIN_BYTES:
        raise ConfigError(f"SECRET_KEY must have at least {SECRET_KEY_MIN_BYTES} bytes; make one with: openssl rand -hex 32")
    if len(set(value)) < SECRET_KEY_MIN_VARIETY:
        raise ConfigError("SECRET_KEY is a placeholder that can be guessed; make one with: openssl rand -hex 32")
    return value


_SMTP_SCHEMES = {"smtp": ("none", 25), "smtp+starttls": ("starttls", 587), "smtps": ("tls", 465)}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _smtp_server(env: Mapping[str, str]) -> SmtpServer | None:
    """Read MERCATO_SMTP_URL; errors never show its value, because it may hold a password."""
    raw = env.get("MERCATO_SMTP_URL", "")
    if not raw:
        return None
    wanted = ConfigError(
        "MERCATO_SMTP_URL must be a URL such as smtp://host:25, smtps://user:password@host or smtp+starttls://user:password@host"
    )
    try:
        url = urlsplit(raw)
        port = url.port
    except ValueError:
        raise wanted from None
    if (
        url.scheme not in _SMTP_SCHEMES
        or not url.hostname
        or url.path not in ("", "/")
        or url.query
        or (url.username is None) != (url.password is None)
    ):
        raise wanted
    security, usual_port = _SMTP_SCHEMES[url.scheme]
    if url.password is not None and security == "none" and url.hostname not in _LOOPBACK:
        raise ConfigError("MERCATO_SMTP_URL would send its password in the clear; use smtps:// or smtp+starttls://")
    return SmtpServer(
        host=url.hostname,
        port=port or usual_port,
        security=security,
        username=None if url.username is None else unquote(url.username),
        password=None if url.password is None else unquote(url.password),
    )
