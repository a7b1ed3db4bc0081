"""The invariants of the shop, each a query that returns the rows that violate it, all asked of one snapshot.

A query that is given ids asks for those alone; NULL stands for all of them. The ids are those of what changed since an earlier pass.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.orders import NEXT, OrderStatus
from mercato_server.store.search import WRONG_DOCUMENTS, WRONG_RECENT_DOCUMENTS

EXAMPLES = 3
"""Violating rows that a finding tells of; the others are only counted."""
_ALL = 2**31 - 1

WRONG_STOCK = """
SELECT product.id AS product_id, level.units AS stock, coalesce(ledger.units, 0) AS ledger
  FROM products AS product
  LEFT JOIN (SELECT product_id, sum(on_hand) AS units, min(on_hand) AS least
               FROM stock_levels
              GROUP BY product_id) AS level ON level.product_id = product.id
  LEFT JOIN (SELECT product_id, sum(delta) AS units
               FROM stock_ledger
              GROUP BY product_id) AS ledger ON ledger.product_id = product.id
 WHERE level.units IS DISTINCT FROM coalesce(ledger.units, 0)  -- also if there is no level
    OR level.least < 0
"""

WRONG_SALES = """
SELECT coalesce(line.order_id, sale.order_id) AS order_id, coalesce(line.product_id, sale.product_id) AS product_id,
       line.quantity AS ordered, -sale.units AS sold
  FROM (SELECT order_id, product_id, quantity
          FROM order_items
         WHERE $1::uuid[] IS NULL OR order_id = ANY($1)) AS line
  FULL JOIN (SELECT order_id, product_id, sum(delta) AS units
               FROM stock_ledger
              WHERE kind = 'sale' AND order_id IS NOT NULL AND ($1 IS NULL OR order_id = ANY($1))
              GROUP BY order_id, product_id) AS sale ON sale.order_id = line.order_id AND sale.product_id = line.product_id
 WHERE sale.units IS DISTINCT FROM -line.quantity
"""

WRONG_RESTOCKS = """
SELECT coalesce(line.order_id, restock.order_id) AS order_id, coalesce(line.product_id, restock.product_id) AS product_id,
       line.quantity AS cancelled, restock.units AS restocked
  FROM (SELECT item.order_id, item.product_id, item.quantity
          FROM orders AS placed
          JOIN order_items AS item ON item.order_id = placed.id
         WHERE placed.status = 'cancelled' AND ($1::uuid[] IS NULL OR placed.id = ANY($1))) AS line
  FULL JOIN (SELECT order_id, product_id, sum(delta) AS units, count(*) AS times
               FROM stock_ledger
              WHERE kind = 'cancel' AND ($1 IS NULL OR order_id = ANY($1))
              GROUP BY order_id, product_id) AS restock ON restock.order_id = line.order_id AND restock.product_id = line.product_id
 WHERE restock.units IS DISTINCT FROM line.quantity OR restock.times > 1
"""

# The rule of domain/pricing.py, in SQL: a total is the sum of its lines and adjustments, and orders have no adjustments yet. It is stated
# again, not called, so that a mistake there is found here.
WRONG_TOTALS = """
SELECT placed.id AS order_id, placed.total_minor, lines.total_minor AS lines_total_minor
  FROM orders AS placed
  LEFT JOIN (SELECT order_id, sum(quantity * unit_price_minor) AS total_minor
               FROM order_items
              WHERE $1::uuid[] IS NULL OR order_id = ANY($1)
              GROUP BY order_id) AS lines ON lines.order_id = placed.id
 WHERE ($1 IS NULL OR placed.id = ANY($1))
   AND lines.total_minor IS DISTINCT FROM placed.total_minor  -- also if there are no lines
"""

REPEATED_KEYS = """
SELECT account_id, idempotency_key, count(*) AS orders
  FROM orders
 WHERE idempotency_key IS NOT NULL
 GROUP BY account_id, idempotency_key
HAVING count(*) > 1
"""

RECENTLY_REPEATED_KEYS = """
SELECT account_id, idempotency_key, count(*) AS orders
  FROM unnest($1::uuid[], $2::text[]) AS touched (scope_id, key)
  JOIN orders ON account_id = scope_id AND idempotency_key = key
 GROUP BY account_id, idempotency_key
HAVING count(*) > 1
"""

# A key that is stored was claimed in the transaction of its order, so both have one created_at. An order outlives its key, which may be
# swept, or taken by another call, after a day; the hour of margin is for a sweep whose clock is ahead of this snapshot's.
_COMPARE_KEYS = """
    ON placed.account_id = stored.scope_id AND placed.idempotency_key = stored.key AND placed.created_at = stored.created_at
 WHERE CASE
       WHEN stored.key IS NULL THEN placed.created_at > now() - interval '23 hours'
       WHEN placed.id IS NULL OR stored.response IS NULL THEN true
       ELSE position(convert_to(placed.id::text, 'UTF8') IN stored.response) = 0  -- the answer is another order's
       END
"""

_SELECT_KEYS = """
SELECT coalesce(stored.scope_id, placed.account_id) AS account_id, coalesce(stored.key, placed.idempotency_key) AS idempotency_key,
       stored.method, placed.id AS order_id
"""

_ALL_KEYS = """
  FROM (SELECT scope_id, key, method, response, created_at
          FROM idempotency_keys
         WHERE method = '/mercato.v1.OrderService/Checkout' OR response IS NULL) AS stored
  FULL JOIN (SELECT id, account_id, idempotency_key, created_at
               FROM orders
              WHERE idempotency_key IS NOT NULL) AS placed
"""

_RECENT_KEYS = """
  FROM (SELECT scope_id, key, method, response, created_at
          FROM unnest($1::uuid[], $2::text[]) AS touched (scope_id, key)
          JOIN idempotency_keys USING (scope_id, key)
         WHERE method = '/mercato.v1.OrderService/Checkout' OR response IS NULL) AS stored
  FULL JOIN (SELECT id, account_id, idempotency_key, created_at
               FROM unnest($1, $2) AS touched (scope_id, key)
               JOIN orders ON account_id = scope_id AND idempotency_key = key) AS placed
"""

WRONG_KEYS = _SELECT_KEYS + _ALL_KEYS + _COMPARE_KEYS

WRONG_RECENT_KEYS = _SELECT_KEYS + _RECENT_KEYS + _COMPARE_KEYS

# What should have happened is subtracted from what is told of, kind by kind; of the kinds only the hashes, whose sums are quick to make.
# Both sides of the window have one created_at, that of their transaction; the sweep's own window is an hour longer.
WRONG_EVENTS = """
SELECT order_id
  FROM (SELECT subject_id AS order_id, hashtext(kind) AS kind
          FROM events
         WHERE kind LIKE 'order.%' AND created_at > now() - interval '6 days 23 hours'
         UNION ALL
        SELECT id, -hashtext('order.placed')
          FROM orders
         WHERE created_at > now() - interval '6 days 23 hours'
         UNION ALL
        SELECT order_id, -hashtext('order.' || status)
          FROM order_history
         WHERE version > 1 AND created_at > now() - interval '6 days 23 hours') AS happened
 GROUP BY order_id
HAVING sum(kind) <> 0
"""

# Of some transactions only: an event and the step that it tells of are written by the same one. What lacks its first step is found by
# WRONG_STATES.
WRONG_RECENT_EVENTS = """
SELECT order_id
  FROM (SELECT subject_id AS order_id, hashtext(kind) AS kind
          FROM events
         WHERE kind LIKE 'order.%' AND xid >= $1::text::xid8
         UNION ALL
        SELECT order_id, -hashtext('order.' || status)
          FROM order_history
         WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))) AS happened
 GROUP BY order_id
HAVING sum(kind) <> 0
"""

WRONG_STATES = """
SELECT placed.id AS order_id, placed.status, placed.version, history.path
  FROM orders AS placed
  LEFT JOIN (SELECT order_id, count(*) AS steps, max(version) AS version, string_agg(status, '>' ORDER BY version) AS path
               FROM order_history
              WHERE $1::uuid[] IS NULL OR order_id = ANY($1)
              GROUP BY order_id) AS history ON history.order_id = placed.id
 WHERE ($1 IS NULL OR placed.id = ANY($1))
   AND (history.path IS NULL
        OR history.path <> ALL ($2::text[])
        OR placed.status <> right(history.path, length(placed.status))
        OR placed.version <> history.version
        OR history.steps <> history.version)  -- with the primary key: not 1, 2, 3 …
"""

WRONG_SESSIONS = """
SELECT session.id AS session_id, count(token.digest) AS live_tokens, account.disabled_at
  FROM sessions AS session
  JOIN accounts AS account ON account.id = session.account_id
  LEFT JOIN refresh_tokens AS token ON token.session_id = session.id AND token.used_at IS NULL
 WHERE session.ended_at IS NULL AND session.expires_at > now()
 GROUP BY session.id, account.disabled_at
HAVING count(token.digest) > 1 OR account.disabled_at IS NOT NULL
"""

WRONG_LINES = """
SELECT 'cart' AS place, account_id AS owner_id, product_id, quantity
  FROM cart_items
 WHERE ($1::uuid[] IS NULL OR age(xmin) <= (SELECT age($2::text::xid8::xid)))
   AND (quantity < 1 OR NOT EXISTS (SELECT FROM accounts WHERE id = account_id))
 UNION ALL
SELECT 'order', order_id, product_id, quantity
  FROM order_items
 WHERE quantity < 1 AND ($1 IS NULL OR order_id = ANY($1))
"""

# A mail and its job are written together, and a lost job is queued again within a minute or so.
STRANDED_MAILS = """
SELECT mail.id AS mail_id, mail.template, mail.created_at
  FROM mails AS mail
 WHERE mail.sent_at IS NULL AND mail.failure IS NULL AND mail.dropped_at IS NULL AND mail.created_at < now() - interval '10 minutes'
   AND NOT EXISTS (SELECT
                     FROM pgqueuer AS job
                    WHERE job.entrypoint = 'mail' AND job.payload = uuid_send(mail.id) AND job.status IN ('queued', 'picked'))
"""

# What the transactions from $1 on have written: each row knows the transaction that wrote it, so no clock and no mark of ours matters, and
# the scan for it costs a fraction of a check.
GET_TOUCHED_ORDERS = """
SELECT id FROM orders WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM order_items WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM order_history WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM stock_ledger WHERE order_id IS NOT NULL AND age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT subject_id FROM events WHERE kind LIKE 'order.%' AND xid >= $1::text::xid8
"""

GET_TOUCHED_KEYS = """
SELECT scope_id, key FROM idempotency_keys WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT account_id, idempotency_key FROM orders WHERE id = ANY($2::uuid[]) AND idempotency_key IS NOT NULL
"""

# Half of every table is needed, so the ban on scans of a worker's connection is lifted. Parallel workers would cost more to start than
# they save, and take the server's cores.
PREPARE_PLANNER = """
SELECT set_config('enable_seqscan', 'on', true), set_config('max_parallel_workers_per_gather', '0', true),
       set_config('work_mem', '64MB', true), set_config('jit', 'off', true),
       set_config('plan_cache_mode', 'force_custom_plan', true)  -- a plan for all or for some, not one for both
"""

ALLOW_HASHES = "SELECT set_config('enable_hashjoin', $1, true), set_config('enable_hashagg', $1, true)"

EXPORT_SNAPSHOT = "SELECT pg_export_snapshot() AS name, pg_snapshot_xmin(pg_current_snapshot())::text AS line"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pass looks at: everything, or what the transactions from `since` on have touched."""

    since: str | None = None
    orders: list[UUID] | None = None
    keys: tuple[list[UUID], list[str]] = ([], [])
    """Scopes and keys, pair by pair."""


def _nothing(_: Scope) -> tuple[object, ...]:
    return ()


def _orders(scope: Scope) -> tuple[object, ...]:
    return (scope.orders,)


def _keys(scope: Scope) -> tuple[object, ...]:
    return scope.keys


def _orders_and_line(scope: Scope) -> tuple[object, ...]:
    return (scope.orders, scope.since)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that returns violating rows, their ids first, and what it takes of a pass."""

    statement: str
    arguments: Callable[[Scope], tuple[object, ...]] = _nothing
    merges: bool = False
    """Its tables are in the order of its keys, so to merge the indexes of all costs half of what the planner's choice, to hash, does."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that is true of the shop at any moment."""

    name: str
    description: str
    query: Query
    recent: Query | None = None
    """What is asked of what was touched, if it is something else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of an invariant: how often it is violated (0: it holds), the first violating rows, and how long that took."""

    invariant: Invariant
    violations: int
    examples: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass found of each invariant, and the first transaction that the next one has to look at."""

    findings: list[Finding]
    line: str


def _paths(*path: OrderStatus) -> Iterator[str]:
    """Return every way that orders may have gone that begins so; there is no way back, so it ends."""
    yield ">".join(path)
    for status in NEXT[path[-1]]:
        yield from _paths(*path, status)


_PATHS = list(_paths(OrderStatus.PLACED))

INVARIANTS = (
    Invariant("stock", "the stock of a product is the sum of its ledger, and not negative", Query(WRONG_STOCK)),
    Invariant("sales", "the sales in the ledger are the lines of the orders", Query(WRONG_SALES, _orders, merges=True)),
    Invariant("restocks", "cancelled orders, and no others, are restocked: in full and once", Query(WRONG_RESTOCKS, _orders)),
    Invariant("totals", "an order has lines, and their sum is its total", Query(WRONG_TOTALS, _orders, merges=True)),
    Invariant(
        "one order per key",
        "an account has one order per idempotency key",
        Query(REPEATED_KEYS),
        Query(RECENTLY_REPEATED_KEYS, _keys),
    ),
    Invariant(
        "stored keys",
        "a checkout's stored key has its answer and its order, and the order its key",
        Query(WRONG_KEYS),
        Query(WRONG_RECENT_KEYS, _keys),
    ),
    Invariant(
        "events",
        "placing an order and each change of its state is told of by one event",
        Query(WRONG_EVENTS),
        Query(WRONG_RECENT_EVENTS, lambda scope: (scope.since,)),
    ),
    Invariant(
        "states",
        "an order went only where it may go, step by step",
        Query(WRONG_STATES, lambda scope: (scope.orders, _PATHS), merges=True),
    ),
    Invariant("sessions", "a session has one live refresh token at most, and a disabled account no session", Query(WRONG_SESSIONS)),
    Invariant("lines", "cart lines belong to accounts, and no line has less than one unit", Query(WRONG_LINES, _orders_and_line)),
    Invariant("due mails", "a mail that is still to be sent has a job that will run", Query(STRANDED_MAILS)),
    Invariant(
        "search",
        "a product on sale, and no other, has its search document",
        Query(WRONG_DOCUMENTS, merges=True),
        Query(WRONG_RECENT_DOCUMENTS, lambda scope: (scope.since,)),
    ),
)


async def verify(conn: "Conn", *others: "Conn") -> list[Finding]:
    """Check all invariants in one snapshot and return a finding of each, in their order; see `inspect`."""
    return (await inspect(conn, *others)).findings


async def inspect(conn: "Conn", *others: "Conn", since: str | None = None) -> Pass:
    """Check all invariants in one snapshot, of everything or of what changed since an earlier pass.

    Reads only, in transactions of its own, and holds up nobody. What changed is what transactions wrote that the earlier pass did not see,
    however late they committed; what was deleted, or written by a subtransaction (the server has none), only a pass over everything sees.

    Args:
        conn: a connection without an open transaction.
        others: more of them, to share the work; they see the same snapshot.
        since: the line of the earlier pass; None checks everything.
    """
    waiting = iter(INVARIANTS)
    findings: dict[str, Finding] = {}

    async def work(lane: "Conn", scope: Scope) -> None:
        for invariant in waiting:
            findings[invariant.name] = await _check(lane, invariant, scope)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(conn.transaction(isolation="repeatable_read", readonly=True))
        line = await _share_snapshot(conn, others, stack)
        scope = await _touched(conn, since) if since else Scope()
        async with asyncio.TaskGroup() as lanes:
            for lane in (conn, *others):
                lanes.create_task(work(lane, scope))
    return Pass([findings[invariant.name] for invariant in INVARIANTS], line)


async def _share_snapshot(conn: "Conn", others: "Sequence[Conn]", stack: AsyncExitStack) -> str:
    """Let all lanes see what the first one does; return the oldest transaction that is still under way there."""
    [(snapshot, line)] = await conn.fetch(EXPORT_SNAPSHOT)
    for other in others:
        await stack.enter_async_context(other.transaction(isolation="repeatable_read", readonly=True))
        await other.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")  # takes no parameter; the database made it
    for lane in (conn, *others):
        await lane.execute(PREPARE_PLANNER)
    return str(line)


async def _touched(conn: "Conn", since: str) -> Scope:
    orders = [row["id"] for row in await conn.fetch(GET_TOUCHED_ORDERS, since)]
    keys = await conn.fetch(GET_TOUCHED_KEYS, since, orders)
    return Scope(since, orders, ([row["scope_id"] for row in keys], [row["key"] for row in keys]))


async def _check(conn: "Conn", invariant: Invariant, scope: Scope) -> Finding:
    """Ask for the violating rows; only the first ones are read, the others are counted where they are."""
    start = perf_counter()
    query = (scope.since and invariant.recent) or invariant.query
    await conn.execute(ALLOW_HASHES, "off" if query.merges and not scope.since else "on")
    violating = await conn.cursor(query.statement, *query.arguments(scope))
    rows = await violating.fetch(EXAMPLES)
    violations = len(rows) + (await violating.forward(_ALL) if rows else 0)
    examples = tuple(" ".join(f"{name}={value}" for name, value in row.items()) for row in rows)
    return Finding(invariant, violations, examples, perf_counter() - start)
