"""Create the rows that the measured calls need, in a few statements outside of the measured time, and check the rows afterwards."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.security.tokens import Keyring, Tokens
from mercato_server.store import inventory, search_documents

STOCK = 1_000_000
LINES = 3
TOKEN_LIFETIME_S = 24 * 3600
ALGORITHM = "HS256"
"""An algorithm with which the benchmark signs tokens itself; a worker verifies each token once."""

INSERT_PRODUCTS = """
INSERT INTO products (name, description, price_minor, currency_code, category_id, image_urls)
SELECT demo.name, demo.description, demo.price_minor, demo.currency_code, demo.category_id, demo.image_urls
  FROM generate_series(0, $1::integer - 1) AS number
  JOIN (SELECT name, description, price_minor, currency_code, category_id, image_urls,
               row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS size
          FROM products
         WHERE sku IS NOT NULL) AS demo ON demo.place = number % demo.size
RETURNING id
"""

INSERT_ACCOUNTS = """
INSERT INTO accounts (id, email, full_name, role, password_hash)
SELECT id, id || '@example.com', 'Jo Doe', 'user', 'no login'
  FROM unnest($1::uuid[]) AS id
"""

# One for each account, with the same id.
INSERT_SESSIONS = """
INSERT INTO sessions (id, account_id, user_agent, ip_address, expires_at)
SELECT id, id, '', '', now() + interval '1 day'
  FROM unnest($1::uuid[]) AS id
"""

FILL_CARTS = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT line.account_id, product.id, 1, product.price_minor, product.currency_code
  FROM unnest($1::uuid[], $2::uuid[]) AS line (account_id, product_id)
  JOIN products AS product ON product.id = line.product_id
    ON CONFLICT (account_id, product_id) DO UPDATE
   SET quantity = excluded.quantity
"""

COUNT_BOOKS = """
SELECT (SELECT count(*) FROM orders) AS orders,
       (SELECT coalesce(sum(quantity), 0) FROM order_items) AS sold,
       (SELECT sum(on_hand) FROM stock_levels) AS stock,
       (SELECT coalesce(sum(quantity), 0) FROM cart_items WHERE account_id = ANY($1::uuid[])) AS in_carts
"""

COUNT_MISMATCHES = """
SELECT count(*)
  FROM stock_levels AS level
 WHERE on_hand <> (SELECT sum(delta) FROM stock_ledger WHERE product_id = level.product_id)
"""


# Each transaction that writes takes one number; nothing may be under way.
COUNT_TRANSACTIONS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


class Mismatch(Exception):
    """The database disagrees with the answers."""


@dataclass(frozen=True, slots=True)
class Books:
    """Counts of orders, units and stock at one time."""

    orders: int
    sold: int
    stock: int
    in_carts: int
    """Units in the carts that the caller named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart:
    """An account with a token, and the products in its cart."""

    account_id: UUID
    token: str = field(repr=False)
    products: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """Products that are only read, so their answers never change, and carts of products to buy."""

    shown: Sequence[UUID]
    readers: Sequence[Cart]
    """Accounts whose carts never change."""
    shoppers: Sequence[Cart]
    buyers: Sequence[Cart]


async def make(conn: "Conn", secret_key: str, *, products: int, shoppers: int, buyers: int) -> Goods:
    """Make products to buy, as many newer ones to read, and accounts whose carts are random, but the same in each run.

    There are as many readers as shoppers.
    """
    sold, shown = [await make_products(conn, products) for _ in range(2)]
    chosen = random.Random(products)  # noqa: S311 - a sample, not a secret
    carts = await make_carts(conn, secret_key, 1, [tuple(chosen.sample(sold, LINES)) for _ in range(2 * shoppers + buyers)])
    await analyze(conn)
    return Goods(shown=shown, readers=carts[:shoppers], shoppers=carts[shoppers : 2 * shoppers], buyers=carts[2 * shoppers :])


async def make_products(conn: "Conn", count: int) -> list[UUID]:
    """Make products that are newer than the existing ones."""
    ids = [row["id"] for row in await conn.fetch(INSERT_PRODUCTS, count)]
    await inventory.open_levels(conn, dict.fromkeys(ids, STOCK), COMMAND_LINE)
    await search_documents.index(conn, ids)
    return ids


async def make_carts(conn: "Conn", secret_key: str, first: int, contents: Sequence[tuple[UUID, ...]]) -> list[Cart]:
    """Make an account and its cart for each of `contents`; the accounts' ids are the numbers from `first` on."""
    tokens = Tokens(Keyring.shared(secret_key, ALGORITHM), TOKEN_LIFETIME_S)
    ids = [UUID(int=number) for number in range(first, first + len(contents))]
    await conn.execute(INSERT_ACCOUNTS, ids)
    await conn.execute(INSERT_SESSIONS, ids)
    carts = [Cart(account_id=id_, token=tokens.issue(id_, id_), products=held) for id_, held in zip(ids, contents, strict=True)]
    await fill(conn, carts)
    return carts


async def analyze(conn: "Conn") -> None:
    """Analyze the tables that now have rows, for the planner; autovacuum analyzes the orders later."""
    for table in ("accounts", "products", "product_search", "search_words", "stock_levels", "cart_items"):
        await conn.execute(f"VACUUM ANALYZE {table}")


async def fill(conn: "Conn", carts: Sequence[Cart]) -> None:
    """Fill every cart with one unit of each of its products."""
    lines = [(cart.account_id, product_id) for cart in carts for product_id in cart.products]
    await conn.execute(FILL_CARTS, [account_id for account_id, _ in lines], [product_id for _, product_id in lines])


async def transactions(conn: "Conn") -> int:
    """Return a number that grows by one with each transaction that writes."""
    return int(await conn.fetchval(COUNT_TRANSACTIONS))


async def books(conn: "Conn", carts: Sequence[Cart]) -> Books:
    """Count orders, units and stock, and the units in some carts."""
    row = await conn.fetchrow(COUNT_BOOKS, [cart.account_id for cart in carts])
    return Books(**{name: int(value) for name, value in dict(row or {}).items()})


def require_placed(before: Books, after: Books, orders: int) -> None:
    """Raise Mismatch unless exactly that many orders were added and their units left the stock."""
    units = orders * LINES
    expected = Books(before.orders + orders, before.sold + units, before.stock - units, before.in_carts - units)
    if after != expected:
        raise Mismatch(f"{orders} checkouts were answered: expected {expected}, found {after}")


def require_added(before: Books, after: Books, units: int) -> None:
    """Raise Mismatch unless exactly that many units were added to the carts."""
    if after.in_carts - before.in_carts != units:
        raise Mismatch(f"{units} units were added to carts, but {after.in_carts - before.in_carts} are there")


async def require_ledger(conn: "Conn") -> None:
    """Raise Mismatch unless the stock of every product is the sum of its ledger."""
    if mismatches := await conn.fetchval(COUNT_MISMATCHES):
        raise Mismatch(f"the stock of {mismatches} products is not the sum of their ledger")
