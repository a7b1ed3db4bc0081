"""Lists of all orders: each combination of conditions finds the right orders, in few reads."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.order_filters import OrderFilter
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.paging import Page, Position
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import order_search
from support.databases import MIGRATED, copied, create

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
# 20,000 orders, one an hour, of 1,000 accounts. The last 10,000 have one address, the others that of their account. The oldest 100 are
# refunded, and a third of the others is shipped. Each has one of three common products, and one in 500 a rare one too. 80 are dear.
FILL = """
INSERT INTO accounts (email, full_name, role, password_hash)
SELECT 'a' || n || '@example.com', '', 'user', '' FROM generate_series(0, 999) n;
INSERT INTO products (name, description, price_minor, currency_code, image_urls)
SELECT 'p' || n, '', 1, 'USD', '{}' FROM generate_series(0, 3) n;
INSERT INTO orders (id, account_id, status, currency_code, total_minor, created_at, number, contact_email)
SELECT uuidv7(timestamptz '2026-01-01 00:00Z' + interval '1 hour' * n - clock_timestamp()), account.id,
       CASE WHEN n < 100 THEN 'refunded' WHEN n % 3 = 0 THEN 'shipped' ELSE 'delivered' END,
       'USD', CASE WHEN n BETWEEN 9000 AND 9079 THEN 500000 ELSE n % 1000 END,
       timestamptz '2026-01-01 00:00Z' + interval '1 hour' * n, 'N' || n,
       CASE WHEN n < 10000 THEN account.email ELSE 'many@example.com' END
  FROM generate_series(0, 19999) n
  JOIN (SELECT id, email, row_number() OVER (ORDER BY id) - 1 AS place FROM accounts) AS account ON place = n % 1000;
INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
SELECT orders.id, product.id, '', 1, 'USD', 1
  FROM (SELECT id, substr(number, 2)::integer AS n FROM orders) AS orders
  JOIN (SELECT id, name FROM products) AS product ON name = 'p' || n % 3 OR name = 'p3' AND n % 500 = 7;
INSERT INTO stock_ledger (product_id, order_id, kind, delta) SELECT product_id, order_id, 'sale', -1 FROM order_items ORDER BY order_id;
ANALYZE;
"""
CONDITIONS: dict[str, list[dict[str, Any]]] = {
    "number": [{"number": "N9007"}],
    "account": [{"account_id": "a7@example.com"}],
    "contact": [{"contact_email": "a7@example.com"}, {"contact_email": "many@example.com"}],
    "product": [{"product_id": "p1"}, {"product_id": "p3"}],
    "statuses": [
        {"statuses": (OrderStatus.REFUNDED,)},
        {"statuses": (OrderStatus.SHIPPED, OrderStatus.REFUNDED, OrderStatus.PLACED)},
    ],
    "time": [
        {"start_time": FIRST + timedelta(hours=9_000), "end_time": FIRST + timedelta(hours=9_100)},
        {"end_time": FIRST + timedelta(hours=15_000)},
        {"start_time": FIRST + timedelta(hours=50)},
    ],
    "total": [{"min_total_minor": 1_000}, {"min_total_minor": 100, "max_total_minor": 900}, {"max_total_minor": 0}],
}
PAGE = 20
FEW, WALK = 60, 500
"""The bounds of a shop of this size."""


ORDERS = """
SELECT orders.id, orders.number, account.email::text AS account_id, contact_email, status, orders.created_at, total_minor,
       ARRAY(SELECT name FROM order_items JOIN products ON products.id = product_id WHERE order_id = orders.id) AS products
  FROM orders
  JOIN accounts AS account ON account.id = account_id
"""


def fits(order: "asyncpg.Record", condition: dict[str, Any]) -> bool:
    """Tell whether an order fits conditions, with names for ids."""
    return all(FITS[field](order, value) for field, value in condition.items())


FITS: dict[str, Callable[[Any, Any], bool]] = {
    "number": lambda order, value: order["number"] == value,
    "account_id": lambda order, value: order["account_id"] == value,
    "contact_email": lambda order, value: order["contact_email"] == value,
    "product_id": lambda order, value: value in order["products"],
    "statuses": lambda order, value: order["status"] in value,
    "start_time": lambda order, value: order["created_at"] >= value,
    "end_time": lambda order, value: order["created_at"] < value,
    "min_total_minor": lambda order, value: order["total_minor"] >= value,
    "max_total_minor": lambda order, value: order["total_minor"] <= value,
}


async def order_filter(conn: "Conn | Pool", condition: dict[str, Any]) -> OrderFilter:
    """Return conditions with the ids of their names."""
    ids = {"account_id": "SELECT id FROM accounts WHERE email::text = $1", "product_id": "SELECT id FROM products WHERE name = $1"}
    return OrderFilter(
        **condition | {name: await conn.fetchval(query, condition[name]) for name, query in ids.items() if name in condition}
    )


def combinations() -> Iterator[list[tuple[str, int]]]:
    """Yield each combination of conditions, as the kinds and the places of their values."""
    for chosen in itertools.product(*([None, *range(len(values))] for values in CONDITIONS.values())):
        yield [(kind, place) for kind, place in zip(CONDITIONS, chosen, strict=True) if place is not None]


def values(places: list[tuple[str, int]]) -> dict[str, Any]:
    return {field: value for kind, place in places for field, value in CONDITIONS[kind][place].items()}


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of a database with 20,000 orders."""
    asyncio.run(_fill(postgres, "template_orders"))
    return "template_orders"


async def _fill(postgres: Postgres, name: str) -> None:
    connection = await asyncpg.connect(await create(postgres, name, MIGRATED))
    await connection.execute(FILL)
    await connection.close()


@pytest.fixture
async def conn(postgres: Postgres, template: str) -> AsyncIterator["Conn"]:
    """A connection to a shop of 20,000 orders."""
    async with copied(postgres, template) as url:
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let lists have the bounds of a small shop."""
    order_search.walk_sql.cache_clear()
    monkeypatch.setattr(order_search, "FEW", FEW)
    monkeypatch.setattr(order_search, "WALK", WALK)
    yield
    order_search.walk_sql.cache_clear()


# The times of 200 orders are not those of their ids.
MISDATE = """
UPDATE orders SET created_at = created_at + interval '1 hour' * (substr(number, 2)::integer * 7919 % 4001 - 2000) WHERE number LIKE '%50'
"""


@pytest.mark.usefixtures("small")
async def test_each_combination_of_conditions_finds_the_orders_that_fit_all_of_them(conn: "Conn") -> None:
    await conn.execute(MISDATE)
    orders = sorted(await conn.fetch(ORDERS), key=lambda order: -order["id"].int)
    fitting = {
        (kind, place): {position for position, order in enumerate(orders) if fits(order, condition)}
        for kind, conditions in CONDITIONS.items()
        for place, condition in enumerate(conditions)
    }
    assert all(fitting.values())
    for places in combinations():
        wanted = await order_filter(conn, values(places))
        expected = [
            orders[position]["id"] for position in sorted(set(range(len(orders))).intersection(*(fitting[each] for each in places)))
        ]
        for after in {0, len(expected) // 2, max(len(expected) - 1, 0)}:
            found = await order_search.ids(conn, wanted, Page(PAGE, Position(None, expected[after - 1]) if after else None))
            assert [row["id"] for row in found] == expected[after : after + PAGE + 1], wanted


@pytest.mark.usefixtures("small")
async def test_each_combination_of_conditions_reads_no_more_than_the_rarest_condition_needs(conn: "Conn") -> None:
    await conn.execute("SET enable_seqscan = off")  # as a worker does
    await conn.execute(order_search.PLAN_FOR_THE_VALUES.replace("LOCAL ", ""))
    orders = await conn.fetch(ORDERS)
    fitting = {
        kind: [sum(fits(order, condition) for order in orders) for condition in conditions] for kind, conditions in CONDITIONS.items()
    }
    sent: list[asyncpg.connection.LoggedQuery] = []
    excessive = []
    for places in combinations():
        wanted = await order_filter(conn, values(places))
        sent.clear()
        with conn.query_logger(sent.append):
            await order_search.ids(conn, wanted, Page(PAGE))
        plans = [json.loads(await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {each.query}", *each.args)) for each in sent.copy()]
        read = sum(rows_read(plan[0]["Plan"]) for plan in plans)
        rarest = min((fitting[kind][place] for kind, place in places), default=0)
        walk = WALK * max(1, len(wanted.statuses)) + FEW * len(places)
        # A list with one condition has an index in its order, unless it is one of totals or products.
        ordered = len(places) <= 1 and not {"total", "product"} & dict(places).keys()
        most = 4 * (PAGE + 1) if ordered else 3 * rarest + 2 * walk
        if read > most:
            excessive.append((read, most, wanted))
    assert not excessive


@pytest.mark.parametrize(
    ("condition", "values", "index"),
    [
        ("account_id", [UUID(int=1)], "orders_by_account"),
        ("contact_email", ["a7@example.com"], "orders_by_contact"),
        ("statuses", [["shipped"]], "orders_by_status"),
        ("lowest", [1, 2], "orders_by_total"),
        ("product_id", [UUID(int=1)], "stock_ledger_pkey"),
    ],
)
async def test_orders_are_counted_by_the_index_of_their_condition(conn: "Conn", condition: str, values: list[object], index: str) -> None:
    await conn.execute("SET enable_seqscan = off")
    text = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {order_search.count_sql(condition)}", 5, *values))
    assert index in text, text


def rows_read(plan: dict[str, Any]) -> int:
    """Return how many rows of tables and indexes a plan has read."""
    own = 0
    if "Scan" in plan["Node Type"] and "Subquery" not in plan["Node Type"]:
        removed = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        own = round((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    return own + sum(rows_read(part) for part in plan.get("Plans", ()))
