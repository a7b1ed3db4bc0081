"""Settings: one frozen dataclass, read from the environment here and nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from mercato_server.config import database_urls
from mercato_server.config.environment import ConfigError, address, integer, matching, one_of, seconds
from mercato_server.config.holding import Holding
from mercato_server.config.log_settings import LogSettings
from mercato_server.config.mail_settings import MailSettings
from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.config.picture_settings import PictureSettings
from mercato_server.config.random_keys import random_key
from mercato_server.config.tax_settings import TaxProviderSettings
from mercato_server.config.trace_settings import TraceSettings

NETWORK_ACCOUNTS = 4
"""All guests of a network together may have as many unpaid orders and stored keys as so many accounts."""
GUEST_DAYS = 30
"""Age of the oldest guests that are counted for a network: no session is older, so these are all that can make calls."""
NETWORK_GUESTS = 10_000
"""Newest guests that are counted for a network, so that the count takes a bounded time."""


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
    search_walked_max: int = 300
    """Products that a search reads in the order of price or name before it reads the shelves of that key."""
    corrected_words_max: int = 8
    """Words of a query without matches that are corrected; each costs one search among the words of all products."""
    completions_max: int = 16
    """Words of products, with other stems than its own, for which a query's last word may be the beginning."""
    cached_pages: int = 500
    """First pages of lists that a worker keeps in memory, 8 KB each if they have 20 products, 64 KiB at most."""
    request_bytes: int = 64 * 1024
    """Most bytes of a request, unless the RPC's policy sets another limit."""
    receive_bytes: int = 2 * 1024 * 1024
    """Most bytes of a message that gRPC takes. gRPC refuses a longer one by itself, without a reason; so it is above all other limits."""
    page_bytes: int = 1024 * 1024
    """Bytes after which a page of a list ends, if it has a row. As JSON they can be six times as many."""
    response_bytes: int = 4 * 1024 * 1024
    """Most bytes of a response: gRPC clients take no more by default."""
    concurrent_calls: int = 1_024
    """Calls in flight per worker before further ones are shed with RESOURCE_EXHAUSTED."""
    password_queue: int = 20
    """Logins, and likewise other calls with a password, that a hash process serves at once before it sheds further ones.

    At 0.25 s of a core each, the deadline allows no more.
    """
    password_refusal_s: float = 1.0
    """Delay of the answer to a login that is shed. It slows down clients that retry at once."""
    password_refusals: int = 256
    """Shed logins that are delayed at the same time, per worker. Others are refused at once, so they cannot use up `concurrent_calls`."""
    failures_free: int = 5
    """Failed logins of one account from one network without a delay, for typing errors."""
    failures_free_everywhere: int = 50
    """Failed logins of one account from all networks together without a delay."""
    failures_delay_max_s: float = 60.0
    """Longest delay after a failed login. It starts with a second and doubles with each failure."""
    networks_known: int = 10
    """Networks of its last logins that an account has. Failed logins elsewhere do not delay logins from there."""
    slow_call_s: float = 1.0
    """A call that takes longer is logged as a warning."""
    log_period_s: float = 60.0
    """Period of the next three bounds. At its end a worker logs how many lines it left out."""
    log_lines: int = 120
    """Lines that a worker logs about refused calls of one reason, and of one code."""
    log_lines_of_client: int = 30
    """How many of them may be about one client."""
    log_lines_of_successes: int = 60_000
    """Lines that a worker logs about calls that went well, of all clients together: 20 MB."""
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
    database_silence_s: float = 2.0
    """A database that has not answered a worker for so long counts as away in its health."""
    database_watch_s: float = 0.25
    """How often a worker looks for that."""
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
    line_bytes_max: int = 1 << 20
    """Bytes of a line of the file, so that a file without line ends does not fill the memory."""
    bad_rows_shown: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """How passwords are hashed."""

    pepper: str = field(default="", repr=False)
    """A secret that is not in the database. If it is lost or changed, no stored password verifies any more."""
    cost: int = 12
    """bcrypt's cost: 2 ** cost rounds, about 0.25 s of a core at 12."""
    share: int = 30
    """Per cent of one core that hashing takes while other processes want that core; otherwise it takes the whole core."""
    socket: str = ""
    """Unix socket of the host's hash process; empty for a child of the worker."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            pepper=random_key(env, "MERCATO_PASSWORD_PEPPER") if env.get("MERCATO_PASSWORD_PEPPER") else "",
            cost=integer(env, "MERCATO_BCRYPT_COST", 12, low=4, high=16),
            share=integer(env, "MERCATO_HASHING_SHARE", 30, low=1, high=100),
            socket=env.get("MERCATO_HASHING_SOCKET", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """The rules by which a buyer orders, so that one account cannot take the stock of a shop without paying."""

    units_per_product: int = 100
    """Units of a product in one cart line, and so in one order."""
    open_orders: int = 1_000
    """Unpaid orders that an account may have at a time; 0 sets no limit."""
    verified_only: bool = False
    """Whether a buyer must have verified the e-mail address, and a guest the contact address."""
    payment_due_s: int = 0
    """Time after the checkout at which a worker cancels an order that is not paid; 0 never does."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            units_per_product=integer(env, "MERCATO_UNITS_PER_PRODUCT", 100, low=1, high=1_000),
            open_orders=integer(env, "MERCATO_OPEN_ORDERS", 1_000, low=0, high=10_000),
            verified_only=one_of(env, "MERCATO_VERIFIED_BUYERS", "off", ("on", "off")) == "on",
            payment_due_s=60 * integer(env, "MERCATO_PAYMENT_DUE_MINUTES", 0, low=0, high=366 * 24 * 60),
        )

    @property
    def network_orders(self) -> int:
        """Unpaid orders that the guests of a network may have together; 0 sets no limit."""
        return NETWORK_ACCOUNTS * self.open_orders


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRules:
    """The rules of guests, who buy without an account."""

    allowed: bool = True
    """Whether new guests may be made; those that are there go on."""
    per_hour: int = 600
    """Guests that a network may make in an hour."""
    idle_s: float = 30 * 24 * 60 * 60.0
    """Time without use after which a guest without orders is deleted."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            allowed=one_of(env, "MERCATO_GUESTS", "on", ("on", "off")) == "on",
            per_hour=integer(env, "MERCATO_GUESTS_PER_HOUR", 600, low=1, high=1_000_000),
            # An access token may be used for a day without a sign of use.
            idle_s=24 * 60 * 60.0 * integer(env, "MERCATO_GUEST_IDLE_DAYS", 30, low=2, high=366),
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
    orders: OrderRules = field(default_factory=OrderRules)
    guests: GuestRules = field(default_factory=GuestRules)
    tax_provider: TaxProviderSettings | None = None
    """The provider of taxes; None if the shop's own rates count."""
    payments: PaymentSettings = field(default_factory=PaymentSettings)
    pictures: PictureSettings = field(default_factory=PictureSettings)
    tracing: TraceSettings | None = None
    """Traces for a collector; None turns them off."""
    currency: str = "USD"
    reserved_domains: bool = False
    """Whether accounts may have addresses in reserved domains, such as `.test`."""
    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    pool_size: int = 8
    batch_max: int = 64
    """Most concurrent checkouts, or cart calls, that share one transaction; 1 gives each its own."""
    cached_products: int = 100_000
    """Most products that a worker keeps in memory, about 1 KB each; 0 turns the cache off."""
    metrics_listen: tuple[str, int] | None = None
    """Host and port of the metrics for Prometheus; None turns them off."""
    metrics_socket: str = ""
    """Unix socket that tells them to the supervisor of `mercato up`."""
    verify_s: float = 60.0
    """Interval in which the invariants are checked, by one worker of all; 0 turns that off."""
    shared_memory: str = ""
    """File that the workers of a host map into memory. By it each sees at once what another changed; without it after 250 ms."""
    keys_per_account: int = 5_000
    """Idempotency keys of the last 24 hours that an account may have stored; 0: no limit. Administrators: for carts and checkouts only."""
    log: LogSettings = field(default_factory=LogSettings)
    failpoints: str = ""
    """Places where the process kills itself, for fault tests: `place=probability`, separated by commas."""
    drain_s: float = 4.0
    """Time between NOT_SERVING and closing: two health-check intervals of the edge. As long again if calls still arrive."""
    grace_s: float = 10.0
    """Time that calls in flight get to end after that."""
    interrupt_grace_s: float = 2.0
    """Upper bound of `grace_s` after SIGINT, which does not wait for the edge either."""
    holding: Holding = field(default_factory=Holding)
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
            orders=OrderRules.from_environ(env),
            guests=GuestRules.from_environ(env),
            tax_provider=TaxProviderSettings.from_environ(env),
            payments=PaymentSettings.from_environ(env),
            pictures=PictureSettings.from_environ(env),
            tracing=TraceSettings.from_environ(env),
            currency=currency(env),
            reserved_domains=reserved_domains(env),
            listen=listen(env),
            pool_size=integer(env, "MERCATO_POOL_SIZE", 8, low=1, high=200),
            batch_max=integer(env, "MERCATO_BATCH_MAX", 64, low=1, high=256),
            cached_products=integer(env, "MERCATO_CACHED_PRODUCTS", 100_000, low=0, high=10_000_000),
            metrics_listen=address(env, "MERCATO_METRICS_LISTEN"),
            metrics_socket=env.get("MERCATO_METRICS_SOCKET", ""),
            verify_s=integer(env, "MERCATO_VERIFY_SECONDS", 60, low=0, high=86_400),
            shared_memory=env.get("MERCATO_SHARED_MEMORY", ""),
            keys_per_account=integer(env, "MERCATO_KEYS_PER_ACCOUNT", 5_000, low=0, high=100_000),
            log=LogSettings.from_environ(env),
            failpoints=env.get("MERCATO_TEST_FAILPOINTS", ""),
            drain_s=seconds(env, "MERCATO_DRAIN_SECONDS", 4.0),
            grace_s=seconds(env, "MERCATO_GRACE_SECONDS", 10.0),
            holding=Holding.from_environ(env),
        )


def database_url(env: Mapping[str, str] | None = None) -> str:
    """Return DATABASE_URL; raises ConfigError if it is not set, is malformed, or could reach a standby."""
    env = os.environ if env is None else env
    value = env.get("DATABASE_URL", "")
    if not value:
        raise ConfigError("DATABASE_URL is not set; it must be a PostgreSQL URL, such as postgresql://user@host/mercato")
    return database_urls.checked(value, env)


def optional_database_url() -> str | None:
    """Return DATABASE_URL, or None if it is not set; raises ConfigError if it could reach a standby."""
    return database_url() if os.environ.get("DATABASE_URL") else None


def optional_secret_key(env: Mapping[str, str] | None = None) -> str | None:
    """Return SECRET_KEY, or None if it is not set; raises ConfigError if it is not random."""
    return secret_key(env) if (os.environ if env is None else env).get("SECRET_KEY") else None


def listen(env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the addresses of a worker, from MERCATO_LISTEN."""
    return tuple((os.environ if env is None else env).get("MERCATO_LISTEN", "127.0.0.1:50051").split(","))


def reserved_domains(env: Mapping[str, str] | None = None) -> bool:
    """Return whether MERCATO_RESERVED_DOMAINS allows addresses in reserved domains."""
    return one_of(os.environ if env is None else env, "MERCATO_RESERVED_DOMAINS", "refuse", ("refuse", "allow")) == "allow"


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


def logs_bytes(env: Mapping[str, str]) -> int:
    """Return the size of all logs of `mercato up` together, from MERCATO_LOG_MEGABYTES; raises ConfigError."""
    return integer(env, "MERCATO_LOG_MEGABYTES", 256, low=16, high=1_000_000) * 1024 * 1024


def drop_libpq_variables() -> None:
    """Remove PGSSLMODE, PGSERVICE and the like from the environment: the URL of an embedded database is complete."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def child_environ(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child process: this one's with some variables replaced."""
    return {**os.environ, **overrides}


def secret_key(env: Mapping[str, str] | None = None) -> str:
    """Return SECRET_KEY, or raise ConfigError if it is missing or not random."""
    return random_key(os.environ if env is None else env, "SECRET_KEY")
