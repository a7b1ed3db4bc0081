"""Checks of the invariants: all in one snapshot, of the whole database or of the changes since an earlier pass."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter

from mercato_server.database.pool import Conn
from mercato_server.store.invariants import INVARIANTS, PRICES, Invariant, Scope
from mercato_server.store.recomputed_prices import disagreeing

EXAMPLES = 3
"""Violating rows that a finding shows; the others are only counted."""
_ALL = 2**31 - 1

# Rows that the transactions from $1 on have written. Each row knows the transaction that wrote it, so this needs no clock and no mark, and
# its scan costs a fraction of a check.
GET_TOUCHED_ORDERS = """
SELECT id FROM orders WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM order_items WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM order_discounts WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM order_taxes WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM promotion_redemptions WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM order_history WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM stock_ledger WHERE order_id IS NOT NULL AND age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM payments WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id
  FROM payment_ledger AS movement
  JOIN payments AS payment ON payment.id = payment_id
 WHERE age(movement.xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id
  FROM provider_requests AS request
  JOIN payments AS payment ON payment.id = payment_id
 WHERE age(request.xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM refunds WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM refund_lines AS line JOIN refunds ON id = refund_id WHERE age(line.xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM shipments WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM shipment_items AS item JOIN shipments ON id = shipment_id WHERE age(item.xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM returns WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
 UNION
SELECT order_id FROM return_items AS item JOIN returns ON id = return_id WHERE age(item.xmin) <= (SELECT age($1::text::xid8::xid))
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

# A session that checks from now on; others of the same shop then do not. A statement may take longer there than one of a call.
CLAIM = """
SELECT pg_try_advisory_lock(hashtextextended('mercato verify ' || current_schema(), 0)) AS is_claimed,
       set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false)
"""

EXPORT_SNAPSHOT = "SELECT pg_export_snapshot() AS name, pg_snapshot_xmin(pg_current_snapshot())::text AS line"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: number of violations (0: the invariant holds), the first violating rows, and the time it took."""

    invariant: Invariant
    violations: int
    examples: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Pass:
    """The findings of a pass, and the first transaction that the next pass has to check."""

    findings: list[Finding]
    line: str


async def verify(conn: "Conn", *others: "Conn", recompute: int | None = 0) -> list[Finding]:
    """Check all invariants in one snapshot and return their findings in order; see `inspect`."""
    return (await inspect(conn, *others, recompute=recompute)).findings


async def claim(conn: "Conn") -> bool:
    """Let the session of a connection be the one that checks the shop until it ends; return False if there is one already."""
    return bool(await conn.fetchval(CLAIM))


async def inspect(conn: "Conn", *others: "Conn", since: str | None = None, recompute: int | None = 0) -> Pass:
    """Check all invariants in one snapshot, of all rows or of those written since an earlier pass.

    It only reads, in its own transactions, and blocks no other. Written since are the rows of transactions that the earlier pass did not
    see, however late they committed. Only a full pass sees deletions, and rows of subtransactions (the server has none).

    Args:
        conn: a connection without an open transaction.
        others: more such connections, which share the work and the snapshot.
        since: the line of the earlier pass; None checks everything.
        recompute: the number of orders whose price is recomputed, the newest first; None for all.
    """
    invariants = INVARIANTS if recompute == 0 else (PRICES, *INVARIANTS)
    waiting = iter(invariants)
    findings: dict[str, Finding] = {}

    async def work(lane: "Conn", scope: Scope) -> None:
        for invariant in waiting:
            check = _recompute(lane, scope, recompute) if invariant is PRICES else _check(lane, invariant, scope)
            findings[invariant.name] = await check

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(conn.transaction(isolation="repeatable_read", readonly=True))
        line = await _share_snapshot(conn, others, stack)
        scope = await _touched(conn, since) if since else Scope()
        async with asyncio.TaskGroup() as lanes:
            for lane in (conn, *others):
                lanes.create_task(work(lane, scope))
    return Pass([findings[invariant.name] for invariant in invariants], line)


async def _share_snapshot(conn: "Conn", others: "Sequence[Conn]", stack: AsyncExitStack) -> str:
    """Give all connections the snapshot of the first one; return the oldest transaction that still runs in it."""
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
    """Run an invariant's query; read only the first violating rows, and count the others in the database."""
    start = perf_counter()
    query = (scope.since and invariant.recent) or invariant.query
    await conn.execute(ALLOW_HASHES, "off" if query.merges and not scope.since else "on")
    if query.holds:
        found = await conn.fetch(query.statement, *query.arguments(scope))
        rows = [row for row in found if not query.holds(row)]
        violations, rows = len(rows), rows[:EXAMPLES]
    else:
        violating = await conn.cursor(query.statement, *query.arguments(scope))
        rows = await violating.fetch(EXAMPLES)
        violations = len(rows) + (await violating.forward(_ALL) if rows else 0)
    examples = tuple(" ".join(f"{name}={value}" for name, value in row.items()) for row in rows)
    return Finding(invariant, violations, examples, perf_counter() - start)


async def _recompute(conn: "Conn", scope: Scope, newest: int | None) -> Finding:
    """Recompute the prices of orders by the domain's rules; keep only the first that disagree, and count the others."""
    start, violations = perf_counter(), 0
    examples: list[str] = []
    async for order_id, fields in disagreeing(conn, scope.orders, newest):
        violations += 1
        if len(examples) < EXAMPLES:
            examples.append(f"order_id={order_id} {'; '.join(fields)}")
    return Finding(PRICES, violations, tuple(examples), perf_counter() - start)
