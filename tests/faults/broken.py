"""Run a worker with a bug: `python tests/faults/broken.py BUG serve`. The fault tests' common check must find each bug."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from mercato_server import __main__ as mercato
from mercato_server.database import transactions
from mercato_server.database.pool import Connection
from mercato_server.domain import pricing, promotions
from mercato_server.domain.quotes import Quote
from mercato_server.domain.redemptions import UsesLeft
from mercato_server.domain.taxes import TaxRounding, taxes_minor
from mercato_server.store import category_tree, inventory, locked_carts, orders, purchases, redemptions, slugs, variants
from mercato_server.store.idempotency import Stored
from mercato_server.store.orders import Outcomes

PLACING = ("PLACE_ORDERS", "PLACE_PLAIN_ORDERS")

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
    change(locked_carts, "LOCK_CARTS", "FOR NO KEY UPDATE", "")


@bug("stock is locked in any order")
def _() -> None:
    for module, constant in ((locked_carts, "LOCK_CARTS"), (inventory, "LOCK_LEVELS")):
        change(module, constant, "ORDER BY product_id", "ORDER BY random()")


@bug("the ledger is forgotten")
def _() -> None:
    for statement in PLACING:
        change(orders, statement, "'sale', -quantity FROM line", "'sale', -quantity FROM line WHERE false")


@bug("the event is forgotten")
def _() -> None:
    for statement in PLACING:
        change(orders, statement, "jsonb_build_object('account_id', account_id) FROM placed", "'{}'::jsonb FROM placed WHERE false")


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
    known = "EXISTS (SELECT FROM idempotency_keys AS stored WHERE stored.scope_id = live.account_id AND stored.key = live.key)"
    change(locked_carts, "LOCK_CARTS", "FROM live WHERE key IS NOT NULL", "FROM live WHERE false")
    change(locked_carts, "LOCK_CARTS", "live.key IS NULL OR claimed.key IS NOT NULL", f"NOT {known}")
    place = orders._place

    async def placed(*args: Any) -> Outcomes | None:
        outcomes = await place(*args)
        connection = await asyncpg.connect(os.environ["DATABASE_URL"])
        for request, outcome in (outcomes or {}).items():
            if request.key and isinstance(outcome, Stored):
                key = request.key
                await connection.execute(STORE_AT_ONCE, key.scope_id, key.key, key.method, key.fingerprint, outcome.response)
        await connection.close()
        return outcomes

    replace(orders, "_place", placed)


@bug("uses of promotions are not locked")
def _() -> None:
    change(redemptions, "LOCK_USES", "FOR NO KEY UPDATE", "")


@bug("a promotion without a code applies when it is used up")
def _() -> None:
    replace(UsesLeft, "may", lambda *_: True)


@bug("buyers are not counted by e-mail")
def _() -> None:
    replace(purchases, "subjects", lambda account_id, _: (f"account:{account_id}",))


@bug("a cancelled order keeps its uses")
def _() -> None:
    async def release(*_: object) -> int:
        return 0

    replace(redemptions, "release", release)


@bug("tax is rounded on the order instead of its lines")
def _() -> None:
    replace(pricing, "taxes_minor", lambda amounts, _, *, included: taxes_minor(amounts, TaxRounding.ORDER, included=included))


@bug("the rest of a discount goes to the first line")
def _() -> None:
    def spread(amount: int, weights: Sequence[int]) -> list[int]:
        shares = [amount * weight // sum(weights) for weight in weights]
        return [shares[0] + amount - sum(shares), *shares[1:]]

    replace(promotions, "spread", spread)


@bug("a quote is not compared with the price")
def _() -> None:
    replace(Quote, "check", lambda *_: None)


@bug("a slug is taken from its holder")
def _() -> None:
    change(slugs, "TAKE_SLUGS", "WHERE NOT held.is_live", "")


@bug("a move forgets the products of the subtree")
def _() -> None:
    change(category_tree, "MOVE_DOCUMENTS", "WHERE", "WHERE false AND")


@bug("a group does not learn of its variants")
def _() -> None:
    async def refresh(*_: object) -> None:
        return None

    replace(variants, "refresh", refresh)


def _replace_statement(old: str, new: str) -> None:
    execute = Connection.execute

    async def replaced(self: Connection, statement: str, *args: Any, **kwargs: Any) -> str:
        return await execute(self, new if statement == old else statement, *args, **kwargs)

    replace(Connection, "execute", replaced)


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    mercato.main()
