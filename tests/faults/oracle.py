"""Compare the outcomes that buyers have seen with the rows of the database.

The database has every acknowledged order. Every order in it was acknowledged, or the outcome of its checkout was unknown to the buyer.
Such a checkout, sent again with its key, gives exactly one order.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from faults.buyers import Purchase, Tally
from mercato_server.store.verify import verify
from support.patience import slowness

BUGS = ("INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "DATA_LOSS", "INVALID_ARGUMENT", "UNAUTHENTICATED", "NOT_FOUND")
"""Codes that these buyers' calls must never get, whatever fails."""

GET_ORDERS = """
SELECT id::text, account_id, idempotency_key AS key, status, total_minor,
       (SELECT array_agg((product_id::text, quantity) ORDER BY product_id) FROM order_items WHERE order_id = orders.id) AS lines
  FROM orders
"""

COUNT_OVERSOLD = "SELECT count(*) FROM stock_levels WHERE on_hand < 0"

COUNT_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"

GET_IDLE_TRANSACTIONS = """
SELECT pid, xact_start, state_change
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""

LEAKED_S = 1.0
"""A running transaction sends its next statement within milliseconds; one that is idle for this long has been left open."""


@dataclass
class Verdict:
    """The contradictions as text, and the counts of each kind."""

    findings: list[str] = field(default_factory=list)
    orders: int = 0
    duplicates: int = 0
    lost: int = 0
    oversold: int = 0
    deadlocks: int = 0


async def judge(database_url: str, tally: Tally, *, orders: bool = True) -> Verdict:
    """Compare the buyers' tally with the database. Call this after the workers have ended: only then are all deadlocks counted.

    Without `orders`, the tally has only calls, because the test places its orders in another way.
    """
    connection = await asyncpg.connect(database_url)
    try:
        forgotten = await left_open(database_url)
        placed = await connection.fetch(GET_ORDERS)
        oversold = await connection.fetchval(COUNT_OVERSOLD)
        deadlocks = await connection.fetchval(COUNT_DEADLOCKS)
        broken = [finding for finding in await verify(connection, recompute=None) if finding.violations]
    finally:
        await connection.close()
    verdict = Verdict(orders=len(placed), oversold=oversold, deadlocks=deadlocks)
    verdict.findings += tally.contradictions
    verdict.findings += [f"{code}, {count} times" for code, count in tally.codes.items() if code.startswith(BUGS)]
    verdict.findings += [f"{oversold} products are oversold"] if oversold else []
    verdict.findings += [f"{deadlocks} deadlocks"] if deadlocks else []
    verdict.findings += [f"{forgotten} transactions were left open"] if forgotten else []
    verdict.findings += [f"verify: not so: {finding.invariant.description}: {finding.examples}" for finding in broken]
    if orders:
        _compare(verdict, placed, tally)
    return verdict


async def left_open(database_url: str) -> int:
    """Return how many open transactions have been left by their worker; workers may still run.

    The workers' background tasks go on meanwhile, and their transactions are idle for a moment between two statements.
    """
    connection = await asyncpg.connect(database_url)
    try:
        until = asyncio.get_running_loop().time() + LEAKED_S * slowness()
        idle = set(await connection.fetch(GET_IDLE_TRANSACTIONS))
        while idle and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
            idle &= set(await connection.fetch(GET_IDLE_TRANSACTIONS))
        return len(idle)
    finally:
        await connection.close()


def _compare(verdict: Verdict, orders: Sequence[asyncpg.Record], tally: Tally) -> None:
    by_key: dict[str, list[asyncpg.Record]] = defaultdict(list)
    keyless = []
    for order in orders:
        if order["key"] is None:
            keyless.append(order)
        else:
            by_key[order["key"]].append(order)
    for purchase in tally.purchases:
        if purchase.key is not None:
            _compare_keyed(verdict, purchase, by_key.pop(purchase.key, []))
    verdict.findings += [f"no buyer sent the key {key} of an order" for key in by_key]
    _compare_keyless(verdict, [purchase for purchase in tally.purchases if purchase.key is None], keyless)


def _compare_keyed(verdict: Verdict, purchase: Purchase, placed: Sequence[asyncpg.Record]) -> None:
    if len(placed) > 1:
        verdict.duplicates += len(placed) - 1
        verdict.findings.append(f"key {purchase.key} has {len(placed)} orders")
    if purchase.reply is not None:
        _compare_order(verdict, purchase, placed)
    elif purchase.refusal is None:
        verdict.findings.append(f"the outcome of key {purchase.key} is still unknown")
    elif placed:
        verdict.findings.append(f"key {purchase.key} was refused ({purchase.refusal}), but has an order")


def _compare_order(verdict: Verdict, purchase: Purchase, placed: Sequence[asyncpg.Record]) -> None:
    """Compare an acknowledged order with its rows in the database."""
    told = purchase.order
    found = next((order for order in placed if order["id"] == told.id), None)
    if found is None:
        verdict.lost += 1
        verdict.findings.append(f"order {told.id} (key {purchase.key}) was acknowledged, and is lost")
        return
    here = (found["account_id"], found["total_minor"], found["lines"])
    there = (purchase.buyer.id, told.total.minor_units, sorted((line.product_id, line.quantity) for line in told.lines))
    if here != there:
        verdict.findings.append(f"order {told.id} was acknowledged as {there}, and is {here}")
    if purchase.quote and told.price != purchase.quote.price:
        verdict.findings.append(f"order {told.id} was not placed for the price of its quote")
    is_cancelled = found["status"] == "cancelled"
    if (is_cancelled and not purchase.cancelling) or (purchase.cancelled and not is_cancelled):
        verdict.findings.append(
            f"order {told.id} is {found['status']}; cancelling it was {'asked' if purchase.cancelling else 'not asked'}"
        )


def _compare_keyless(verdict: Verdict, purchases: Sequence[Purchase], placed: Sequence[asyncpg.Record]) -> None:
    """Compare orders without a key: an account has those acknowledged, and at most one more for each unknown outcome."""
    unknown = Counter(purchase.buyer.id for purchase in purchases if purchase.reply is None and purchase.refusal is None)
    acknowledged = [purchase for purchase in purchases if purchase.reply is not None]
    for purchase in acknowledged:
        _compare_order(verdict, purchase, placed)
    told = {purchase.order.id for purchase in acknowledged}
    untold = Counter(order["account_id"] for order in placed if order["id"] not in told)
    for account_id, count in (untold - unknown).items():
        verdict.duplicates += count
        verdict.findings.append(f"account {account_id} has {count} orders that were not acknowledged")
