"""Run a worker with a bug: `python tests/faults/broken.py BUG serve`. The fault tests' common check must find each bug."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from mercato_server import __main__ as mercato
from mercato_server.database import transactions
from mercato_server.database.pool import Conn, Connection
from mercato_server.domain.errors import IdempotencyKeyReused
from mercato_server.store import idempotency, inventory, orders
from mercato_server.store.idempotency import IdempotencyKey, Stored

BUGS: dict[str, Callable[[], None]] = {}

STORE_AT_ONCE = """
INSERT INTO idempotency_keys (scope_id, key, method, fingerprint, response) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""


def bug(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that breaks the server under a name."""

    def named(apply: Callable[[], None]) -> Callable[[], None]:
        BUGS[name] = apply
        return apply

    return named


def replace(owner: object, name: str, new: object) -> None:
    """Replace an attribute that must exist."""
    assert hasattr(owner, name)
    setattr(owner, name, new)


def change(module: Any, constant: str, old: str, new: str) -> None:
    """Replace a part of an SQL constant."""
    statement = getattr(module, constant)
    assert old in statement
    replace(module, constant, statement.replace(old, new))


@bug("stock is not locked")
def _() -> None:
    change(orders, "LOCK_CARTS", "FOR NO KEY UPDATE", "")


@bug("stock is locked in any order")
def _() -> None:
    for module, constant in ((orders, "LOCK_CARTS"), (inventory, "LOCK_LEVELS_OF_ORDER")):
        change(module, constant, "ORDER BY product_id", "ORDER BY random()")


@bug("the ledger is forgotten")
def _() -> None:
    change(orders, "PLACE_ORDERS", "'sale', -quantity FROM line", "'sale', -quantity FROM line WHERE false")


@bug("the event is forgotten")
def _() -> None:
    change(orders, "PLACE_ORDERS", "jsonb_build_object('account_id', account_id) FROM placed", "'{}'::jsonb FROM placed WHERE false")


@bug("an order is answered and rolled back")
def _() -> None:
    _replace_statement("COMMIT", "ROLLBACK")


@bug("a checkout is no transaction")
def _() -> None:
    replace(transactions, "_begin", lambda _: "SELECT 1")
    _replace_statement("COMMIT", "SELECT 1")


@bug("a lost commit is run again without asking")
def _() -> None:
    async def aborted(*_: object) -> str:
        return "aborted"

    replace(transactions, "_outcome", aborted)


@bug("keys are stored outside of the transaction")
def _() -> None:
    async def find(conn: "Conn", keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, Stored | IdempotencyKeyReused]:
        rows = await conn.fetch(idempotency.GET_RESPONSES, [key.scope_id for key in keys], [key.key for key in keys])
        known = {(row["scope_id"], row["key"]): Stored(row["response"], replayed=True) for row in rows}
        return {key: known[key.scope_id, key.key] for key in keys if (key.scope_id, key.key) in known}

    async def store(_: "Conn", results: Sequence[tuple[IdempotencyKey | None, Any]]) -> dict[IdempotencyKey, Stored]:
        done = {key: Stored(key.serialize(result), replayed=False) for key, result in results if key and not isinstance(result, Exception)}
        connection = await asyncpg.connect(os.environ["DATABASE_URL"])
        rows = [(key.scope_id, key.key, key.method, key.fingerprint, stored.response) for key, stored in done.items()]
        await connection.executemany(STORE_AT_ONCE, rows)
        await connection.close()
        return done

    replace(idempotency, "claim", find)
    replace(idempotency, "settle", store)


def _replace_statement(old: str, new: str) -> None:
    execute = Connection.execute

    async def replaced(self: Connection, statement: str, *args: Any, **kwargs: Any) -> str:
        return await execute(self, new if statement == old else statement, *args, **kwargs)

    replace(Connection, "execute", replaced)


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    mercato.main()
