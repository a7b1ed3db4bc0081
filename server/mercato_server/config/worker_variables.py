"""The environment variables of workers and of commands. A test compares their names with the ones that this package reads."""

from mercato_server.config.variables import Reader, Variable

WORKER, EDGE, COMMANDS = Reader.WORKER, Reader.EDGE, Reader.COMMANDS

WORKER_VARIABLES = (
    Variable(
        "DATABASE_URL",
        "",
        "PostgreSQL URL (`mercato up` sets it); for [a cluster](high-availability.md) "
        "`postgresql://user@host1,host2,host3/mercato?target_session_attrs=primary`",
        (WORKER, COMMANDS),
        note="none, required",
        secret=True,
    ),
    Variable(
        "SECRET_KEY",
        "",
        "32 random bytes or more, in base64 or hexadecimal (`openssl rand -base64 32`); seals the keys of access tokens, signs "
        "page tokens (unless set, `mercato up` makes one and keeps it in its data directory)",
        (WORKER, COMMANDS),
        note="none, required",
        secret=True,
    ),
    Variable(
        "ALGORITHM",
        "EdDSA",
        "signature of access tokens: EdDSA with keys in the database (`/.well-known/jwks.json`), or HS256, HS384, HS512 with SECRET_KEY",
        (WORKER,),
    ),
    Variable("ACCESS_TOKEN_EXPIRE_MINUTES", "10", "lifetime of an access token, 1 to 1440", (WORKER,)),
    Variable("MERCATO_CURRENCY", "USD", "the only currency of the shop, ISO 4217; cannot change after the first start", (WORKER, COMMANDS)),
    Variable("MERCATO_LISTEN", "127.0.0.1:50051", "addresses of a worker, separated by commas: `host:port` or `unix:/path`", (WORKER,)),
    Variable("MERCATO_POOL_SIZE", "8", "database connections of a worker", (WORKER,)),
    Variable(
        "MERCATO_BATCH_MAX",
        "64",
        "largest number of concurrent checkouts, or cart calls, that share one transaction; `1` gives each its own",
        (WORKER,),
    ),
    Variable("MERCATO_UNITS_PER_PRODUCT", "100", "units of a product in one cart line, and so in one order; 1 to 1000", (WORKER,)),
    Variable("MERCATO_OPEN_ORDERS", "1000", "unpaid orders (PLACED) that an account may have at a time; 0 sets no limit", (WORKER,)),
    Variable("MERCATO_VERIFIED_BUYERS", "off", "`on`: a checkout needs an account with a verified e-mail address", (WORKER,)),
    Variable(
        "MERCATO_TAX_PROVIDER_URL",
        "",
        "URL that [names the taxes](taxes.md#a-provider-outside-of-the-shop) of quotes, in place of the shop's rates; `https`, "
        "or `http` on this machine",
        (WORKER,),
        secret=True,
    ),
    Variable("MERCATO_TAX_PROVIDER_SECRET", "", "bearer token for that URL, 16 to 500 visible ASCII characters", (WORKER,), secret=True),
    Variable("MERCATO_TAX_PROVIDER_TIMEOUT_MS", "2000", "milliseconds that a worker waits for its answer, 100 to 4000", (WORKER,)),
    Variable(
        "MERCATO_STRIPE_SECRET_KEY",
        "",
        "key of [Stripe](payments.md#stripe): `sk_live_…`, `rk_live_…`, `sk_test_…` or `rk_test_…`; without one, only an "
        "administrator records payments",
        (WORKER, COMMANDS),
        secret=True,
    ),
    Variable(
        "MERCATO_STRIPE_PUBLISHABLE_KEY",
        "",
        "key of the same mode that the browsers of buyers get: `pk_live_…` or `pk_test_…`",
        (WORKER, COMMANDS),
        note="none, required with the secret key",
    ),
    Variable(
        "MERCATO_STRIPE_WEBHOOK_SECRETS",
        "",
        "one or two secrets of Stripe's webhooks, `whsec_…`, separated by a comma; without one the shop refuses webhooks",
        (WORKER, COMMANDS),
        secret=True,
    ),
    Variable(
        "MERCATO_STRIPE_URL", "https://api.stripe.com", "address of Stripe's API; `https`, or `http` on this machine", (WORKER, COMMANDS)
    ),
    Variable(
        "MERCATO_STRIPE_TIMEOUT_MS", "10000", "milliseconds that a worker waits for an answer of Stripe, 1000 to 60000", (WORKER, COMMANDS)
    ),
    Variable(
        "MERCATO_STRIPE_REQUESTS_PER_SECOND",
        "",
        "requests a second of a worker to Stripe; several workers share the account's limit, so divide it by their number",
        (WORKER, COMMANDS),
        note="`100`, with test keys `25`",
    ),
    Variable(
        "MERCATO_PAYMENT_CAPTURE",
        "at_once",
        "`at_shipment`: a payment is authorised when the buyer pays, and captured when the first parcel leaves",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_PAYMENT_DUE_MINUTES",
        "0",
        "minutes after the checkout at which an order that is not paid is cancelled; 0 never does",
        (WORKER,),
    ),
    Variable("MERCATO_GUESTS", "on", "`off`: no new [guests](guests.md#upgrades) are made", (WORKER,)),
    Variable(
        "MERCATO_GUESTS_PER_HOUR",
        "600",
        "[guests](guests.md) that a network (an IPv4 address or an IPv6 /64) may make in an hour",
        (WORKER,),
    ),
    Variable("MERCATO_GUEST_IDLE_DAYS", "30", "days without use after which a guest without orders is deleted; at least 2", (WORKER,)),
    Variable(
        "MERCATO_KEYS_PER_ACCOUNT",
        "5000",
        "idempotency keys of the last 24 hours that an account may have stored; 0 sets no limit. Administrators have a limit for "
        "carts and checkouts only",
        (WORKER,),
    ),
    Variable(
        "MERCATO_CACHED_PRODUCTS",
        "100000",
        "products that a worker keeps in memory: about 1 KB each, up to 3 KB while many transactions run; 0 keeps none",
        (WORKER,),
    ),
    Variable(
        "MERCATO_METRICS_LISTEN",
        "",
        "`host:port` that answers Prometheus without a token, so only the operator may reach it (`mercato up` has "
        "`--metrics-port` instead)",
        (WORKER,),
    ),
    Variable(
        "MERCATO_METRICS_SOCKET", "", "Unix socket on which a worker tells its metrics to the supervisor (`mercato up` sets it)", (WORKER,)
    ),
    Variable(
        "MERCATO_VERIFY_SECONDS",
        "60",
        "how often one worker of all checks the [invariants](invariants.md#while-the-shop-runs); at most 86400, and 0 for never",
        (WORKER,),
    ),
    Variable(
        "MERCATO_SHARED_MEMORY",
        "",
        "file on a tmpfs that the workers of a host share: each then sees the others' changes at once instead of 250 ms later "
        "(`mercato up` makes its own)",
        (WORKER,),
    ),
    Variable("MERCATO_BCRYPT_COST", "12", "cost of bcrypt, 4 to 16; every step doubles the time of a login", (WORKER, COMMANDS)),
    Variable(
        "MERCATO_HASHING_SHARE",
        "30",
        "per cent of one core that hashing of passwords takes while other processes want that core, 1 to 100; otherwise it takes "
        "the whole core",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_HASHING_SOCKET",
        "",
        "Unix socket of a hash process that the workers of a host share (`mercato up` sets it); without it a worker starts its own",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_RESERVED_DOMAINS",
        "refuse",
        "`allow`: accounts may have addresses in domains such as `.test` (RFC 6761), for tests",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_PASSWORD_PEPPER",
        "",
        "secret mixed into passwords before hashing, random like SECRET_KEY; without it every stored password is lost",
        (WORKER, COMMANDS),
        secret=True,
    ),
    Variable(
        "MERCATO_SMTP_URL",
        "",
        "server for outgoing mail: `smtp://host:25`, `smtps://user:password@host` or `smtp+starttls://user:password@host`",
        (WORKER, COMMANDS),
        secret=True,
    ),
    Variable(
        "MERCATO_MAIL_DIR",
        "",
        "without an SMTP server, directory for mails, one file each (`mercato up` uses `mail` in its data directory); without "
        "either, mails stay queued for a week",
        (WORKER, COMMANDS),
    ),
    Variable("MERCATO_MAIL_FROM", "Mercato <no-reply@localhost>", "sender of mails; its name is also their signature", (WORKER, COMMANDS)),
    Variable(
        "MERCATO_PUBLIC_URL",
        "",
        "address of the shop's pages: mails link to its `/verify-email?token=…`, `/reset-password?token=…` and "
        "`/orders/ID?token=…`; without it mails name the API call",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_MAILS_PER_SECOND",
        "10",
        "largest number of mails that a worker sends per second; each costs about 6 ms of its core",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_LOG_LEVEL",
        "info",
        "`debug`, `info`, `warning` or `error`; `debug` [logs every call](operations.md#lines-of-calls)",
        (WORKER,),
    ),
    Variable("MERCATO_LOG_FORMAT", "json", "`json` or `console`", (WORKER,)),
    Variable(
        "MERCATO_LOG_READS",
        "100",
        "of so many reads of one RPC that went well, the first leaves a line in the log; 1 logs each, 0 none",
        (WORKER,),
    ),
    Variable(
        "MERCATO_SECURITY_LOG",
        "",
        "file of the [security log](operations.md#security-log), made anew after a rename (`mercato up` uses `log/security.log` in "
        "its data directory); without one its lines are on standard error",
        (WORKER,),
    ),
    Variable(
        "MERCATO_TRACING",
        "off",
        "`on`: workers send [traces](tracing.md) to a collector of OpenTelemetry; needs the extra `tracing`",
        (WORKER,),
    ),
    Variable(
        "MERCATO_TRACE_PROXIES",
        "",
        "networks of callers whose trace a call continues, separated by commas, for workers and Envoy; others get a trace of their own "
        "that links to theirs",
        (WORKER, EDGE),
    ),
    Variable("MERCATO_TRACE_PROVIDERS", "tax", "providers outside of the shop that get a `traceparent`: `tax`, `stripe`", (WORKER,)),
    Variable("OTEL_SDK_DISABLED", "false", "`true` turns traces off, whatever MERCATO_TRACING says", (WORKER,)),
    Variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "no other protocol is supported", (WORKER,)),
    Variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "the same for traces alone", (WORKER,)),
    Variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "headers for the collector; OpenTelemetry's SDK reads [this and more](tracing.md#turn-it-on), such as OTEL_EXPORTER_OTLP_ENDPOINT",
        (WORKER,),
        secret=True,
    ),
    Variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "", "headers for traces, in place of OTEL_EXPORTER_OTLP_HEADERS", (WORKER,), secret=True),
    Variable(
        "OTEL_TRACES_SAMPLER",
        "parentbased_traceidratio",
        "which traces are recorded, by a name of [OpenTelemetry's](tracing.md#turn-it-on)",
        (WORKER,),
    ),
    Variable("OTEL_TRACES_SAMPLER_ARG", "0.01", "the share of traces that are recorded, 0 to 1", (WORKER,)),
    Variable("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1024", "longest attribute of a span, 16 to 65536 characters", (WORKER,)),
    Variable(
        "MERCATO_DRAIN_SECONDS",
        "4",
        "pause of a stopping worker between NOT_SERVING and closing: two health-check intervals of the edge; up to as long again "
        "while calls still arrive",
        (WORKER, EDGE),
    ),
    Variable("MERCATO_GRACE_SECONDS", "10", "time after that for calls in flight", (WORKER, EDGE)),
    Variable(
        "MERCATO_PICTURES_DIR",
        "",
        "absolute path of the directory with the files of pictures, which all workers share; without one, uploads are refused. "
        "`mercato up` uses `pictures` in its data directory",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_PICTURES_S3_BUCKET",
        "",
        "bucket of S3, or of a server that speaks its protocol, that has the files of pictures instead; MERCATO_PICTURES_DIR is "
        "then a directory of each host. [docs/pictures.md](pictures.md#a-bucket)",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_PICTURES_S3_ENDPOINT", "", "https address of the bucket's server, without the bucket", (WORKER, COMMANDS), note="Amazon's"
    ),
    Variable("MERCATO_PICTURES_S3_REGION", "us-east-1", "region of the bucket", (WORKER, COMMANDS)),
    Variable("MERCATO_PICTURES_S3_ACCESS_KEY_ID", "", "account that may use the bucket", (WORKER, COMMANDS)),
    Variable("MERCATO_PICTURES_S3_SECRET_ACCESS_KEY", "", "its secret", (WORKER, COMMANDS), secret=True),
    Variable(
        "MERCATO_PICTURES_URL",
        "",
        "base of the URLs of pictures, such as that of a CDN; without one they are paths of the shop",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_PICTURES_KEPT_DAYS",
        "30",
        "days that the files of a picture stay which no product shows any more; at least as many as backups are kept",
        (WORKER, COMMANDS),
    ),
    Variable(
        "MERCATO_PICTURES_KEEP_ORIGINALS",
        "off",
        "`on` keeps uploaded files in `originals` of that directory; they are never served",
        (WORKER, COMMANDS),
    ),
    Variable("MERCATO_ADMIN_PASSWORD", "", "password for `mercato admin create`", (COMMANDS,), secret=True),
    Variable(
        "XDG_DATA_HOME",
        "",
        "directory in which `mercato` is the default of `--data-dir`; root has `/var/lib/mercato`",
        (COMMANDS,),
        note="`~/.local/share`",
    ),
    Variable("PGHOST", "", "server of a DATABASE_URL that names none; it may name one only", (WORKER, COMMANDS)),
    Variable("MERCATO_TEST_FAILPOINTS", "", "places where a worker kills itself, for fault tests; never in production", (WORKER,)),
)
