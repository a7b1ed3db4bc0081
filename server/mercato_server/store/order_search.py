"""Lists of the orders of all accounts, by any combination of conditions.

Each list is sorted by id, the newest first. Indexes have most conditions together with ids, and so in the order of the list. No index has
totals or products in that order. A list with such a condition is read in one of two ways:

- Few orders fit one of the conditions: all of them are read and sorted. They are counted first, because statistics are too coarse to tell.
- Else a walk through the newest orders soon meets a page of the list. If it does not, all orders of one condition are read.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts
from mercato_server.domain.moments import EPOCH
from mercato_server.domain.order_filters import OrderFilter
from mercato_server.domain.orders import Order
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.pricing import AMOUNT_MAX
from mercato_server.store import order_lists
from mercato_server.store.order_times import MISDATED, id_bounds

FEW = 5_000
"""Orders of a condition that are all read, instead of a walk."""
WALK = 20_000
"""Orders that a walk reads at most, of each status."""

# The best index depends on the values, for example on how many orders a contact has.
PLAN_FOR_THE_VALUES = "SET LOCAL plan_cache_mode = force_custom_plan"

_END = datetime(9999, 12, 31, tzinfo=UTC)
_STATUS, _PRODUCT, _LOWEST, _HIGHEST, _FIRST_ID, _END_ID = "statuses", "product_id", "lowest", "highest", "first_id", "end_id"
_ORDERED = {"number": "number = {}", "account_id": "account_id = {}", "contact_email": "contact_email = {}"}
_CONDITIONS = {
    **_ORDERED,
    _STATUS: "status = ANY({}::text[])",
    # No index has these forms, and the planner expects that many orders fit them.
    "start_time": "(created_at - {}::timestamptz < interval '0') IS NOT TRUE",
    "end_time": "(created_at - {}::timestamptz >= interval '0') IS NOT TRUE",
    _LOWEST: "(total_minor + 0 < {}) IS NOT TRUE",
    _HIGHEST: "(total_minor + 0 > {}) IS NOT TRUE",
    _PRODUCT: "(SELECT true FROM order_items AS item WHERE item.order_id = orders.id AND item.product_id = {})",
}
# The ids of the orders of a condition. Each sale has a row in the ledger, which has an index of products.
_SOURCES = {
    _LOWEST: "SELECT id FROM orders WHERE total_minor BETWEEN {} AND {}",
    _PRODUCT: "SELECT order_id AS id FROM stock_ledger WHERE product_id = {} AND kind = 'sale'",
    "account_id": "SELECT id FROM orders WHERE account_id = {}",
    "contact_email": "SELECT id FROM orders WHERE contact_email = {}",
    _STATUS: "SELECT id FROM orders WHERE status = ANY({}::text[])",
}
_ODD = f"SELECT id FROM orders WHERE {MISDATED}"  # noqa: S608 - constants
_WALKED = (*_ORDERED, _STATUS, _FIRST_ID, _END_ID)
"""Values on which the index of a walk, and its ends, depend."""
_NEWEST = "ORDER BY id DESC LIMIT"

Values = Mapping[str, object]


@retry_conflicts
async def orders(pool: "Pool", wanted: OrderFilter, page: Page) -> tuple[Sequence[Order], Position | None]:
    """Return a page of the orders that fit a filter, newest first, and the position of its last row if more follow."""
    async with pool.acquire() as conn, order_lists.snapshot(conn):
        await conn.execute(PLAN_FOR_THE_VALUES)
        return await order_lists.page_of(conn, await ids(conn, wanted, page), page)


async def ids(conn: "Conn", wanted: OrderFilter, page: Page) -> Sequence[asyncpg.Record]:
    """Return the ids of a page, and one more if more follow."""
    values, statuses = _values(wanted), len(wanted.statuses)
    if "number" in values or not {_LOWEST, _PRODUCT} & values.keys():
        return await conn.fetch(walk_sql(tuple(values), statuses, 0), page.below, page.size + 1, *values.values())
    sources = [name for name in _SOURCES if name in values]
    for name in sources:
        if await _is_few(conn, name, values):
            return await _read(conn, name, values, page)
    found = await conn.fetch(walk_sql(tuple(values), statuses, WALK), page.below, page.size + 1, *values.values())
    if len(found) > page.size or not await _is_long(conn, values, statuses, page):
        return found
    return await _read(conn, sources[0], values, page)


async def _read(conn: "Conn", source: str, values: Values, page: Page) -> Sequence[asyncpg.Record]:
    """Return the ids of a page, of all orders of a condition."""
    looked_up = {name: value for name, value in values.items() if name in _CONDITIONS}
    return await conn.fetch(list_sql(tuple(looked_up), source), page.below, page.size + 1, *looked_up.values())


async def _is_few(conn: "Conn", name: str, values: Values) -> bool:
    """Return whether few orders fit a condition, whatever their time."""
    more = (values[_HIGHEST],) if name == _LOWEST else ()
    return bool(await conn.fetchval(count_sql(name), FEW + 1, values[name], *more) <= FEW)


async def _is_long(conn: "Conn", values: Values, statuses: int, page: Page) -> bool:
    """Return whether a walk would go on after the most orders that it may read."""
    walked = {name: value for name, value in values.items() if name in _WALKED}
    return bool(await conn.fetchval(reach_sql(tuple(walked), statuses), page.below, WALK, *walked.values()) == WALK)


def _values(wanted: OrderFilter) -> dict[str, object]:
    """Return the values of the conditions, both ends of a range if it has one."""
    found: dict[str, object] = {name: value for name in (*_ORDERED, _PRODUCT) if (value := getattr(wanted, name)) is not None}
    if wanted.start_time or wanted.end_time:
        start, end = wanted.start_time or EPOCH, wanted.end_time or _END
        first_id, end_id = id_bounds(start, end)
        found |= {"start_time": start, "end_time": end, _FIRST_ID: first_id, _END_ID: end_id}
    if wanted.min_total_minor is not None or wanted.max_total_minor is not None:
        highest = AMOUNT_MAX if wanted.max_total_minor is None else wanted.max_total_minor
        found |= {_LOWEST: wanted.min_total_minor or 0, _HIGHEST: highest}
    if wanted.statuses:
        found[_STATUS] = list(wanted.statuses)
    return found


@cache
def count_sql(name: str) -> str:
    """Return the statement that counts the orders of a condition; its parameters are LIMIT and the condition's values."""
    return f"SELECT count(*) FROM ({_SOURCES[name].format('$2', '$3')} LIMIT $1) AS counted"  # noqa: S608 - constants


@cache
def list_sql(names: Sequence[str], source: str) -> str:
    """Return the statement of a list that reads all orders of one condition; its parameters are position, LIMIT, and the values."""
    numbers = _numbers(names)
    return _looked_up(_SOURCES[source].format(numbers[source], numbers.get(_HIGHEST)), _conditions(numbers).values())


@cache
def walk_sql(names: Sequence[str], statuses: int, longest: int) -> str:
    """Return the statement of a list that walks along an index; its parameters are position, LIMIT, and the values.

    Orders whose time is not that of their id are looked up.

    Args:
        names: the names of the values.
        statuses: the number of statuses.
        longest: the most orders that a walk may read; 0 for no limit.
    """
    numbers = _numbers(names)
    conditions = _conditions(numbers)
    others = " AND ".join(["true", *(condition for name, condition in conditions.items() if name not in _ORDERED and name != _STATUS)])
    walks = _walks(numbers, statuses, f"{_NEWEST} {longest}" if longest else "")
    lists = [f"(SELECT id FROM ({walk}) AS orders WHERE {others} {_NEWEST} $2)" for walk in walks]  # noqa: S608 - constants
    if _FIRST_ID in numbers:
        lists.append(f"({_looked_up(_ODD, conditions.values())})")
    return f"SELECT id FROM ({' UNION '.join(lists)}) AS found {_NEWEST} $2"  # noqa: S608 - constants


@cache
def reach_sql(names: Sequence[str], statuses: int) -> str:
    """Return the statement that counts the orders of the longest walk; its parameters are position, LIMIT, and the values of the walk."""
    walks = _walks(_numbers(names), statuses, f"{_NEWEST} $2")
    counts = " UNION ALL ".join(f"SELECT count(*) AS orders FROM ({walk}) AS walk" for walk in walks)  # noqa: S608 - constants
    return f"SELECT max(orders) FROM ({counts}) AS counted"  # noqa: S608 - constants


def _walks(numbers: Mapping[str, str], statuses: int, limit: str) -> list[str]:
    """Return the statements of the walks, one for each status, because each has its own part of an index."""
    ordered = [condition for name, condition in _conditions(numbers).items() if name in _ORDERED]
    if _FIRST_ID in numbers:
        # Two comparisons of an id would be a range, of which the planner expects hardly any orders.
        ordered += [f"id >= ANY(ARRAY[{numbers[_FIRST_ID]}]::uuid[])", f"id < {numbers[_END_ID]}"]
    of_statuses = [[f"status = ({numbers[_STATUS]}::text[])[{place}]"] for place in range(1, statuses + 1)] or [[]]
    return [
        f"SELECT id, created_at, total_minor FROM orders WHERE {' AND '.join(['id < $1', *ordered, *status])} {limit}"  # noqa: S608 - constants
        for status in of_statuses
    ]


def _looked_up(source: str, conditions: Iterable[str]) -> str:
    """Return the statement of a list of those orders of a source that fit conditions."""
    fits = " AND ".join(["orders.id = found.id", *conditions])
    return f"""SELECT found.id
                 FROM ({source} OFFSET 0) AS found
                CROSS JOIN LATERAL (SELECT FROM orders WHERE {fits} OFFSET 0) AS fitting
                WHERE found.id < $1 {_NEWEST} $2"""  # noqa: S608 - constants


def _numbers(names: Sequence[str]) -> dict[str, str]:
    """Return the parameters of values, which follow those of the page."""
    return {name: f"${place}" for place, name in enumerate(names, start=3)}


def _conditions(numbers: Mapping[str, str]) -> dict[str, str]:
    return {name: condition.format(numbers[name]) for name, condition in _CONDITIONS.items() if name in numbers}
