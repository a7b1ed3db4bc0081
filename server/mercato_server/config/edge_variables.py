"""The environment variables of the edge, and of `mercato up` itself. A test compares their names with the ones that this package reads."""

from mercato_server.config.variables import Reader, Variable

WORKER, EDGE, UP = Reader.WORKER, Reader.EDGE, Reader.UP

EDGE_VARIABLES = (
    Variable("MERCATO_EDGE_HOST", "127.0.0.1", "IP address that Envoy listens on", (EDGE,)),
    Variable(
        "MERCATO_TLS_CERT", "", "PEM file of a certificate, followed by its chain; with it and MERCATO_TLS_KEY the port speaks TLS", (EDGE,)
    ),
    Variable("MERCATO_TLS_KEY", "", "PEM file of the key of that certificate", (EDGE,)),
    Variable(
        "MERCATO_UPSTREAMS",
        "127.0.0.1:50051",
        "workers behind the edge, `host:port` or `unix:/path`, separated by commas; a name may stand for several workers",
        (EDGE,),
    ),
    Variable(
        "MERCATO_UPSTREAM_WORKERS",
        "",
        "number of workers behind MERCATO_UPSTREAMS, if a name stands for several, such as that of a headless Service; the edge sends "
        "each 1,024 calls at a time; 1 to 1000",
        (EDGE,),
        note="the number of addresses",
    ),
    Variable("MERCATO_CORS_ORIGINS", "", "origins that browsers may call from, separated by commas; `*` for any", (EDGE,)),
    Variable(
        "MERCATO_EDGE_CACHE",
        "off",
        "`on`: `mercato up` answers anonymous catalog reads from [Envoy's cache](edge.md#cache-of-catalog-reads), at most 1.25 s "
        "old; Envoy calls that cache work in progress (also `--edge-cache`)",
        (UP,),
    ),
    Variable("MERCATO_RATE_LIMITS", "on", "`off` for tests and benchmarks", (EDGE,)),
    Variable("MERCATO_REQUESTS_PER_SECOND", "100", "rate limit per client address", (EDGE,)),
    Variable("MERCATO_TOKEN_REQUESTS_PER_SECOND", "100", "rate limit per access token, from all addresses", (EDGE,)),
    Variable(
        "MERCATO_CREDENTIALS_PER_MINUTE",
        "20",
        "rate limit per client address for each RPC that takes credentials, such as logins and signups",
        (EDGE,),
    ),
    Variable("MERCATO_ACCESS_LOG_REFUSED", "10", "percentage of the refused calls that Envoy's access log has; it has all others", (EDGE,)),
    Variable(
        "MERCATO_TRUSTED_HOPS",
        "0",
        "number of proxies in front of Envoy that append to X-Forwarded-For; with 0 Envoy ignores that header",
        (EDGE,),
    ),
    Variable(
        "MERCATO_CALLS_PER_CLIENT",
        "128",
        "calls of one client address that a worker executes at the same time, of 1,024 in total",
        (WORKER, EDGE),
    ),
    Variable(
        "MERCATO_UPLOAD_SECONDS",
        "120",
        "time for a whole upload of a picture, 10 to 600; the edge holds all other requests to 10 seconds",
        (WORKER, EDGE),
    ),
    Variable(
        "MERCATO_CONNECTIONS",
        "10000",
        "connections of all clients to Envoy; must be below its limit of open files (`mercato up` sees to that)",
        (WORKER, EDGE),
    ),
    Variable("MERCATO_REFLECTION", "on", "`off`: workers do not describe the API to gRPC clients that ask", (WORKER, EDGE)),
    Variable("MERCATO_LOG_MEGABYTES", "256", "size of all logs of `mercato up` together, with four predecessors of each", (UP,)),
    Variable("MERCATO_BACKUP_DIR", "", "directory of [backups](backup.md) to which `mercato up` archives each change", (UP,)),
    Variable(
        "MERCATO_BACKUP_WAL_MEGABYTES",
        "4096",
        "most of the write-ahead log that the database keeps while that directory cannot be written; beyond it the archive has a gap",
        (UP,),
    ),
)
