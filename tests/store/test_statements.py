"""Every statement can be prepared on the real schema, and hot statements use an index for all parameters."""

import asyncio
import importlib
import itertools
import json
import pkgutil
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio

from mercato_server import database, store
from mercato_server.config.settings import Settings
from mercato_server.database.migrations import CREATE_MIGRATIONS
from mercato_server.database.pool import Conn, Pool, create_pool
from mercato_server.domain import spelling
from mercato_server.domain.accounts import AccountFilter, Role
from mercato_server.domain.audit_log import AuditFilter
from mercato_server.domain.catalog import Deleted, ProductOrder
from mercato_server.domain.orders import Order
from mercato_server.domain.paging import Page
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import (
    audit_log,
    bulk,
    cart_headers,
    carts,
    catalog,
    erasure,
    erasure_invariants,
    facets,
    group_upserts,
    guests,
    idempotency,
    inventory,
    joined_orders,
    locked_carts,
    order_books,
    order_lists,
    order_states,
    orders,
    payment_alerts,
    payment_lists,
    product_groups,
    product_lists,
    promotion_codes,
    promotions,
    provider_events,
    provider_requests,
    redemptions,
    returns,
    saved_books,
    search,
    search_documents,
    sessions,
    shipments,
    shop_counts,
    tax_categories,
    tax_rates,
    told_facts,
    users,
    variants,
)
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.price_book import PriceBook
from mercato_server.store.product_shapes import Shape, deleted_shapes, shapes, variant_shapes
from support.databases import MIGRATED, copied, create, index_products

MODULES = [
    importlib.import_module(module.name)
    for room in (database, store)
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
]
NOT_STATEMENTS = {
    "ACCOUNT_COLUMNS",
    "ADMITTED",
    "ADMITTED_FOR_ROWS",
    "AREAS",
    "AS_WRITER",
    "BEGIN",
    "BY_PROVIDER",
    "CATEGORY_IDS",
    "CLAIMED",
    "DISABLED",
    "DISPUTE_COLUMNS",
    "DOCUMENTS",
    "ENDED",
    "EVENT_COLUMNS",
    "GROUP_COLUMNS",
    "GROUP_JOIN",
    "HELD",
    "IDENTITY",
    "IS_LATE",
    "IS_LIVE",
    "LIFE",
    "LINE_COLUMNS",
    "LIVE_GUEST",
    "LOCKED",
    "MISDATED",
    "ORDER_COLUMNS",
    "PAYMENT_COLUMNS",
    "PRODUCT_COLUMNS",
    "RATES",
    "RATE_COLUMNS",
    "REDEEMED",
    "REFUND_COLUMNS",
    "REQUEST_COLUMNS",
    "SHIPMENT_COLUMNS",
    "SOLD",
    "STANDBY",
    "TIMELINE",
    "TRACE",
    "UNSERVED",
    "USED",
    "VERSION",
}
STATEMENTS = [
    pytest.param(value, id=f"{module.__name__.rpartition('.')[2]}.{name}")
    for module in MODULES
    for name, value in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str) and name not in NOT_STATEMENTS
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prepared(postgres: Postgres) -> AsyncIterator["Conn"]:
    """A connection to a database with all tables, for tests that only prepare statements."""
    async with copied(postgres) as url:
        connection = await asyncpg.connect(url)
        await connection.execute(CREATE_MIGRATIONS)
        await connection.execute(bulk.CREATE_INCOMING)
        yield connection
        await connection.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_statement_can_be_prepared(prepared: "Conn", statement: str) -> None:
    await prepared.prepare(statement)


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_every_shape_of_a_product_list_can_be_prepared(pool: "Pool", order: ProductOrder) -> None:
    found = [shape for shape in shapes() if shape.order is order]
    async with pool.acquire() as conn:
        for shape in found:
            await conn.prepare(product_lists.list_sql(shape))
            await conn.prepare(product_lists.count_sql(shape))
    assert len(found) == (32 if order is ProductOrder.RELEVANCE else 64)


async def test_every_shape_of_a_list_with_deleted_products_can_be_prepared(pool: "Pool") -> None:
    found = list(deleted_shapes())
    async with pool.acquire() as conn:
        for shape in found:
            await conn.prepare(product_lists.list_sql(shape))
            await conn.prepare(product_lists.count_sql(shape))
    assert len(found) == 2 * 2 * 32


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_every_shape_of_a_list_of_variants_can_be_prepared(pool: "Pool", order: ProductOrder) -> None:
    found = [shape for shape in variant_shapes() if shape.order is order]
    async with pool.acquire() as conn:
        for shape in found:
            await conn.prepare(product_lists.list_sql(shape))
            await conn.prepare(product_lists.count_sql(shape))
            if order is ProductOrder.NEWEST and not shape.after and not shape.collapse:
                for chosen in (False, True):
                    await conn.prepare(facets.facets_sql(shape, chosen=chosen))
    assert len(found) == (32 * 3 if order is ProductOrder.RELEVANCE else 32 * 3 + 32 * 7)


FILL = """
INSERT INTO accounts (email, full_name, role, password_hash)
SELECT 'a' || n || '@example.com', '', 'user', '' FROM generate_series(1, 2000) n;
INSERT INTO sessions (account_id, user_agent, ip_address, expires_at) SELECT id, '', '', now() + interval '1 day' FROM accounts;
INSERT INTO categories (name) SELECT 'category ' || n FROM generate_series(1, 20) n;
INSERT INTO product_groups (code, name, varies_by, currency_code, variants, min_price_minor, max_price_minor)
SELECT 'G' || n, 'group', '{Size}', 'USD', 4, 0, 5000 FROM generate_series(0, 1999) n;
INSERT INTO products (name, description, price_minor, currency_code, image_urls, group_id, options, folded_options, options_text, is_listed)
SELECT 'zzz', '', 100 + size, 'USD', '{}', id, jsonb_build_array(jsonb_build_array('Size', size::text)),
       jsonb_build_object('size', size::text), 'Size: ' || size, size = 0
  FROM product_groups, generate_series(0, 3) AS size;
UPDATE categories AS child
   SET parent_id = parent.id, ancestors = ARRAY[parent.id]
  FROM categories AS parent
 WHERE parent.name = 'category 1' AND child.name IN ('category 11', 'category 12', 'category 13', 'category 14');
INSERT INTO products (name, description, price_minor, currency_code, category_id, sku, image_urls)
SELECT translate(md5(n::text), '0123456789', 'ghijklmnop') || 'x thing ' || translate((n % 500)::text, '0123456789', 'ghijklmnop'),
       'thing number ' || n, n % 5000, 'USD',
       (SELECT id FROM categories WHERE name = 'category ' || (n % 20 + 1)), 'S' || n, '{}'
  FROM generate_series(1, 20000) n;
INSERT INTO pgqueuer (priority, entrypoint, status)
SELECT 0, CASE WHEN n % 10 = 0 THEN 'picture' ELSE 'mail' END,
       (CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'picked' ELSE 'queued' END)::pgqueuer_status
  FROM generate_series(1, 20000) n;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, number % 7 FROM products;
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT a.id, p.id, 1, 1, 'USD' FROM (SELECT id, row_number() OVER (ORDER BY id) n FROM accounts) a
  JOIN (SELECT id, row_number() OVER (ORDER BY id) n FROM products) p ON p.n % 2000 + 1 = a.n;
INSERT INTO orders (account_id, status, currency_code, total_minor) SELECT account_id, 'placed', 'USD', 1 FROM cart_items;
INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
SELECT o.id, c.product_id, '', 1, 'USD', 1 FROM orders o JOIN cart_items c ON c.account_id = o.account_id;
INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
SELECT id, 1, 'placed', 'buyer', account_id, '' FROM orders;
INSERT INTO account_taxes (account_id, treatment, tax_number) SELECT id, 'exempt', 'X' FROM accounts;
INSERT INTO carts (account_id) SELECT id FROM accounts;
INSERT INTO payments (order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor)
SELECT id, 'stripe', 'online', 'pi_' || id, 'captured', false, 'USD', 1 FROM orders;
INSERT INTO payment_ledger (payment_id, kind, provider_ref, amount_minor, currency_code)
SELECT id, 'captured', 'ch_' || id, 1, 'USD' FROM payments;
INSERT INTO refunds (payment_id, order_id, state, amount_minor, currency_code, is_own, reason, actor_kind)
SELECT id, order_id, 'succeeded', 1, 'USD', true, '', 'administrator' FROM payments;
INSERT INTO refund_lines (refund_id, product_id, quantity, amount_minor, currency_code) SELECT id, uuidv7(), 1, 1, 'USD' FROM refunds;
INSERT INTO disputes (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason)
SELECT id, order_id, 'dp_' || id, 'won', 1, 0, 'USD', '' FROM payments;
INSERT INTO shipments (order_id, state, carrier, tracking_number, tracking_url, actor_kind)
SELECT id, 'shipped', '', '', '', 'administrator' FROM orders;
INSERT INTO shipment_items (shipment_id, product_id, quantity) SELECT id, uuidv7(), 1 FROM shipments;
INSERT INTO provider_requests (provider, kind, payment_id, amount_minor, outcome, settled_at)
SELECT 'stripe', 'create', id, 1, 'succeeded', now() FROM payments;
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at, applied_at)
SELECT 'stripe', 'evt_' || id, 'payment_intent.succeeded', provider_ref, now(), now() FROM payments;
INSERT INTO tax_categories (id, display_name) SELECT 'category-' || n, 'x' FROM generate_series(1, 200) n;
INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)
SELECT chr(65 + n % 26) || 'A', 'R' || n, 'category-' || (n % 100 + 1), 'VAT', 1, '{}', '{}', '(,)' FROM generate_series(1, 5000) n;
INSERT INTO idempotency_keys (scope_id, key, method, fingerprint, response)
SELECT account_id, id::text, '', '', '' FROM orders;
INSERT INTO promotions (name, kind, percent_ppm, product_ids, category_ids, get_product_ids, get_category_ids, method_ids,
                        min_subtotal_minor, currency_code, needs_code, usage_limit, per_buyer_limit, priority, combinable, archived_at)
SELECT 'sale ' || n, 'percent', 1, '{}', '{}', '{}', '{}', '{}', 0, 'USD', true, 50, 1, 0, true, CASE WHEN n > 1000 THEN now() END
  FROM generate_series(1, 3000) n;
INSERT INTO promotion_codes (code_folded, code, promotion_id, batch_id, usage_limit)
SELECT 'c' || id, 'C' || id, (SELECT id FROM promotions WHERE name = 'sale ' || products.number % 1000 + 1), uuidv7(), 1 FROM products;
INSERT INTO promotion_redemptions (order_id, promotion_id, subjects, amount_minor, currency_code)
SELECT orders.id, promotions.id, ARRAY['account:' || account_id], 1, 'USD'
  FROM (SELECT id, account_id, row_number() OVER (ORDER BY id) AS n FROM orders) AS orders
  JOIN promotions ON name = 'sale ' || n % 1000 + 1;
INSERT INTO promotion_buyers (promotion_id, subject, uses)
SELECT promotion_id, subjects[1], 1 FROM promotion_redemptions ON CONFLICT DO NOTHING;
INSERT INTO returns (order_id, restocked, reason, actor_kind) SELECT id, false, '', 'system' FROM orders;
INSERT INTO return_items (return_id, product_id, quantity) SELECT id, order_id, 1 FROM returns;
"""


@pytest.fixture(scope="session")
def full_template(postgres: Postgres) -> str:
    """The name of a database with 20,000 products and orders; made once, because each test needs only a copy."""
    asyncio.run(_fill(postgres, "template_full"))
    return "template_full"


async def _fill(postgres: Postgres, name: str) -> None:
    connection = await asyncpg.connect(await create(postgres, name, MIGRATED))
    await connection.execute(FILL)
    await index_products(connection)
    await connection.execute("VACUUM product_search, search_words")  # as autovacuum does: it empties the pending lists of their indexes
    await connection.execute("ANALYZE")
    await connection.close()


@pytest.fixture
async def full(postgres: Postgres, full_template: str) -> AsyncIterator["Conn"]:
    """A connection to a shop of 20,000 products and orders with generic plans, as a server's tenth call has."""
    async with copied(postgres, full_template) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        yield connection
        await connection.close()


HOT = {
    "GET_PRODUCT": catalog.GET_PRODUCT,
    "GET_PRODUCTS": catalog.GET_PRODUCTS,
    "GET_CARTS": carts.GET_CARTS,
    "ADD_LINES": carts.ADD_LINES,
    "SET_LINES": carts.SET_LINES,
    "CLEAR_CARTS": carts.CLEAR_CARTS,
    "CLAIM_KEY": idempotency.CLAIM_KEY,
    "GET_RESPONSES": idempotency.GET_RESPONSES,
    "STORE_RESPONSES": idempotency.STORE_RESPONSES,
    "LOCK_CARTS": locked_carts.LOCK_CARTS,
    "OPEN_GUEST": guests.OPEN_GUEST,
    "LOCK_DUE_GUESTS": guests.LOCK_DUE,
    "JOIN_ORDERS": joined_orders.JOIN_ORDERS,
    "UPDATE_HEADER": cart_headers.UPDATE_HEADER,
    "IS_RECENT_ORDER": order_lists.IS_RECENT,
    "PRODUCTS_OF_CARTS": locked_carts.GET_PRODUCTS,
    "PLACE_ORDERS": orders.PLACE_ORDERS,
    "PLACE_PLAIN_ORDERS": orders.PLACE_PLAIN_ORDERS,
    "GET_ROOM": orders.GET_ROOM,
    "PAY_FREE_ORDERS": orders.PAY_FREE_ORDERS,
    "GET_OVERDUE": order_states.GET_OVERDUE,
    "LOCK_PRODUCT": catalog.LOCK_PRODUCT,
    "UPDATE_PRODUCT": catalog.UPDATE_PRODUCT,
    "LOCK_GROUPS": variants.LOCK_GROUPS,
    "LOCK_VARIANTS": variants.LOCK_VARIANTS,
    "REFRESH_GROUPS": variants.REFRESH_GROUPS,
    "GET_GROUP": product_groups.GET_GROUP,
    "LOCK_GROUP": product_groups.LOCK_GROUP,
    "LOCK_PRODUCTS_OF_GROUP": group_upserts.LOCK_PRODUCTS,
    "UPDATE_VARIANTS": group_upserts.UPDATE_PRODUCTS,
    "DELETE_VARIANTS": group_upserts.DELETE_PRODUCTS,
    "MOVE_VARIANTS": group_upserts.MOVE_PRODUCTS,
    "LOCK_LEVELS": inventory.LOCK_LEVELS,
    "ADJUST_LEVELS": inventory.ADJUST_LEVELS,
    "RESTOCK": inventory.RESTOCK,
    "LOCK_ORDERS": order_books.LOCK_ORDERS,
    "GET_UNITS": order_books.GET_UNITS,
    "GET_PAYMENTS": order_books.GET_PAYMENTS,
    "GET_REFUNDS": order_books.GET_REFUNDS,
    "GET_SHIPMENTS": order_books.GET_SHIPMENTS,
    "GET_OPEN_REQUESTS": order_books.GET_OPEN_REQUESTS,
    "UPDATE_ORDERS": saved_books.UPDATE_ORDERS,
    "UPDATE_UNITS": saved_books.UPDATE_UNITS,
    "LEASE_DUE": provider_requests.LEASE_DUE,
    "LEASE_OF_ORDER": provider_requests.LEASE_OF_ORDER,
    "LEASE_EVENTS": provider_events.LEASE_EVENTS,
    "LEASE_READS": told_facts.LEASE_READS,
    "GET_LAPSING": told_facts.GET_LAPSING,
    "GET_ALERTS": payment_alerts.GET_ALERTS,
    "COUNT_JOBS": shop_counts.COUNT_JOBS,
    "GET_CODES": redemptions.GET_CODES,
    "LOCK_USES": redemptions.LOCK_USES,
    "REDEEM": redemptions.REDEEM,
    "RELEASE": redemptions.RELEASE,
    "WRITE_DOCUMENTS": search_documents.WRITE_DOCUMENTS,
    "LOCK_OLD": search_documents.LOCK_OLD,
    "GET_ORDERS": order_lists.GET_ORDERS,
    "GET_LINES": order_lists.GET_LINES,
    "GET_HISTORY": order_lists.GET_HISTORY,
    "GET_SHIPMENT": shipments.GET_SHIPMENT,
    "LIST_SHIPMENTS": shipments.LIST_SHIPMENTS,
    "LIST_RETURNS": returns.LIST_RETURNS,
    "LIST_OF_ACCOUNT": order_lists.LIST_OF_ACCOUNT,
    "LIST_OF_ACCOUNT_IN_STATUS": order_lists.LIST_OF_ACCOUNT_IN_STATUS,
}


async def plan(conn: "Conn", statement: str) -> str:
    count = len((await conn.prepare(statement)).get_parameters())
    await conn.execute(f"PREPARE probe AS {statement}")
    rows = await conn.fetch(f"EXPLAIN EXECUTE probe ({', '.join(['NULL'] * count)})" if count else "EXPLAIN EXECUTE probe")
    await conn.execute("DEALLOCATE probe")
    return "\n".join(row[0] for row in rows)


def literals(query: str) -> str:
    """Return the arguments of a query as SQL."""
    return ", ".join("NULL" if each is None else "'" + str(each).replace("'", "''") + "'" for each in search.arguments(query))


def test_only_an_erasure_changes_rows_of_the_audit_log() -> None:
    named = {statement.values[0] for statement in STATEMENTS if "audit_log" in str(statement.values[0])}
    readers = {erasure_invariants.KEPT_OF_ACCOUNTS}
    assert named - readers == {audit_log.APPEND_ENTRY, audit_log.APPEND_ENTRIES, erasure.CLEAR_ENTRIES}
    assert not any(word in statement for statement in (*AUDIT_LISTS, *readers) for word in ("UPDATE", "DELETE"))
    assert not any(word in statement for statement in AUDIT_LISTS for word in ("UPDATE", "DELETE"))


async def test_hot_statements_read_no_table_from_end_to_end(full: "Conn") -> None:
    plans = {name: await plan(full, statement) for name, statement in HOT.items()}
    scans = {
        name: text for name, text in plans.items() if re.search("Seq Scan on (?!price_rules |database_origin)", text)
    }  # they have one row
    assert not scans, "\n\n".join(f"{name}\n{text}" for name, text in scans.items())


async def test_a_session_is_found_by_its_id_alone(full: "Conn") -> None:
    await full.execute(
        "INSERT INTO sessions (account_id, user_agent, ip_address, expires_at) SELECT id, '', '', now() + interval '1 day' FROM accounts"
    )
    for statement in (sessions.GET_ROLES, locked_carts.LOCK_CARTS, carts.ADD_LINES):
        found = await plan(full, statement)
        assert "sessions_pkey" in found
        assert "sessions_by" not in found, found


async def test_product_lists_read_no_table_from_end_to_end(full: "Conn") -> None:
    plain = [
        Shape(order=order, after=after, category=category, in_stock=in_stock)
        for order in ProductOrder
        for after in (False, True)
        for category in (False, True)
        for in_stock in (False, True)
        if order is not ProductOrder.RELEVANCE
    ]
    for shape in plain:
        text = await plan(full, product_lists.list_sql(shape))
        assert "Seq Scan on" not in text, f"{shape}\n{text}"
        assert shape.category or "Sort" not in text, f"{shape}\n{text}"


@pytest.mark.parametrize("in_stock", [False, True])
@pytest.mark.parametrize("after", [False, True])
async def test_a_list_of_a_category_reads_a_page_of_each_of_two_indexes(full: "Conn", *, after: bool, in_stock: bool) -> None:
    """So its time does not depend on the number of products and subcategories. Of seven products six are in stock."""
    parent = await full.fetchval("SELECT id FROM categories WHERE name = 'category 1'")
    indexes = {"id": "products_by_category|category_listings_pkey"}
    indexes |= {"price_minor": "products_by_category_price|category_listings_by_price"}
    indexes |= {"name_key": "products_by_category_name_key|category_listings_by_name_key"}
    for order in (order for order in ProductOrder if order is not ProductOrder.RELEVANCE):
        shape = Shape(order=order, after=after, category=True, in_stock=in_stock)
        key = shape.key or "id"
        middle = f"SELECT id, {key} AS key FROM category_listings WHERE category_id = $1 ORDER BY {key} OFFSET 2000"  # noqa: S608
        row = await full.fetchrow(middle, parent)
        assert row is not None
        at = row["key"] if isinstance(row["key"], int) else f"'\\x{row['key'].hex()}'" if isinstance(row["key"], bytes) else ""
        values = [f"'{parent}'", *([f"'{row['id']}'"] if after else []), *([str(at)] if after and shape.key else [])]
        await full.execute(f"PREPARE list AS {product_lists.list_sql(shape)}")
        rows = await full.fetch(f"EXPLAIN (ANALYZE) EXECUTE list ({', '.join([*values, '21', '0'])})")
        await full.execute("DEALLOCATE list")
        text = "\n".join(row[0] for row in rows)
        read = [
            float(match[1])
            for match in re.finditer(rf"Index (?:Only )?Scan (?:Backward )?using (?:{indexes[key]}) .*rows=([\d.]+) loops=1", text)
        ]
        assert len(read) == 2, text
        assert max(read) <= 21, text
        assert "Seq Scan" not in text, text


# Half of the products are the variants of groups of four.
GROUP = """
INSERT INTO product_groups (code, name, varies_by, currency_code) SELECT n, 'Thing', '{Size}', 'USD' FROM generate_series(0, 2499) AS n;
UPDATE products
   SET group_id = product_groups.id, position = number % 4, is_listed = number % 4 = 0, options_text = 'x',
       options = jsonb_build_array(jsonb_build_array('Size', number % 4)),
       folded_options = jsonb_build_object('size', (number % 4)::text, 'colour', CASE WHEN number % 1000 = 0 THEN 'rare' ELSE 'black' END)
  FROM product_groups
 WHERE code = ((number / 4) % 2500)::text AND number <= 10000;
ANALYZE products, product_groups;
"""


SOME_ORDERS = (ProductOrder.NEWEST, ProductOrder.CHEAPEST)


async def test_lists_of_variants_read_no_table_from_end_to_end(full: "Conn") -> None:
    await full.execute(GROUP)
    for shape in variant_shapes():
        if shape.query or shape.order not in SOME_ORDERS:
            continue
        text = await plan(full, product_lists.list_sql(shape))
        assert "Seq Scan on" not in text, f"{shape}\n{text}"
        if not (shape.category and shape.options):  # planned anew with the options: which ones decide how listings are joined
            assert "Hash" not in text, f"{shape}\n{text}"  # a join would read a whole table
        if shape.collapse and not (shape.group or shape.options or shape.min_price or shape.max_price):
            assert "Sort  " not in text.partition("SubPlan")[0].partition("Aggregate")[0], f"{shape}\n{text}"


@pytest.mark.parametrize(
    ("order", "index"),
    [
        (ProductOrder.NEWEST, "products_pkey"),
        (ProductOrder.CHEAPEST, "products_listed_by_price"),
        (ProductOrder.DEAREST, "products_listed_by_price"),
        (ProductOrder.NAME, "products_listed_by_name_key"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
async def test_a_collapsed_list_of_everything_walks_along_an_index_of_entries(
    full: "Conn", order: ProductOrder, index: str, *, after: bool
) -> None:
    await full.execute(GROUP)
    text = await plan(full, product_lists.list_sql(Shape(order=order, after=after, collapse=True)))
    assert f"using {index} on products" in text, text
    assert "sibling" not in text, text


async def test_siblings_are_found_by_their_group(full: "Conn") -> None:
    await full.execute(GROUP)
    for shape in variant_shapes():
        conditions = shape.category or shape.in_stock or shape.min_price or shape.query
        if shape.collapse and conditions and not shape.group and not shape.after and shape.order in SOME_ORDERS:
            text = await plan(full, product_lists.list_sql(shape))
            lines = text.splitlines()
            [place] = [number for number, line in enumerate(lines) if line.endswith(")") and " on products sibling " in line]
            found = "\n".join(lines[place : place + 4])
            assert re.search("products_(by_group|options_key)", found), f"{shape}\n{text}"
            assert "BitmapAnd" not in found, f"{shape}\n{text}"


async def test_a_rare_option_is_found_by_an_index_and_a_common_one_on_the_way(full: "Conn") -> None:
    await full.execute(GROUP)
    await full.execute("RESET plan_cache_mode")
    shape = Shape(order=ProductOrder.CHEAPEST, after=False, options=True, collapse=True)
    for value, expected in (("rare", "products_by_options"), ("black", "products_by_price"), ("unknown", "products_by_options")):
        await full.execute(f"PREPARE listed AS {product_lists.list_sql(shape)}")
        plans = [await full.fetch(f"""EXPLAIN EXECUTE listed ('($."colour" == "{value}")', 21, 0)""") for _ in range(7)]
        await full.execute("DEALLOCATE listed")
        text = "\n".join(row[0] for row in plans[-1])
        assert expected in text, f"{value}\n{text}"


# Of 10,000 products of the third category, which is below the first one, 2,500 are red and two of another colour that no others have.
COLOUR = """
UPDATE products
   SET category_id = (SELECT id FROM categories WHERE name = 'category 3'),
       folded_options = jsonb_build_object('size', (number % 4)::text, 'colour', CASE WHEN number % 5000 = 0 THEN 'rare'
                                                                                       WHEN number % 4 = 1 THEN 'red' ELSE 'black' END)
 WHERE group_id IS NOT NULL;
INSERT INTO category_listings (category_id, id, price_minor, name_key)
SELECT (SELECT id FROM categories WHERE name = 'category 1'), id, price_minor, name_key FROM products WHERE group_id IS NOT NULL
    ON CONFLICT DO NOTHING;
ANALYZE products, category_listings;
"""


@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize(("colour", "products"), [("red", 2_500), ("rare", 2), ("unknown", 0)])
async def test_options_in_a_tree_of_categories_read_no_more_listings_than_products_have_them(
    full: "Conn", colour: str, products: int, *, collapse: bool
) -> None:
    """A list with options that few products have would otherwise read all listings of the category above."""
    await full.execute(GROUP + COLOUR)
    await full.execute("RESET plan_cache_mode")
    parent = await full.fetchval("SELECT id FROM categories WHERE name = 'category 1'")
    shape = Shape(order=ProductOrder.NEWEST, after=False, category=True, options=True, collapse=collapse)
    arguments = f"""'{parent}', '($."colour" == "{colour}")'"""
    for statement, rest in ((product_lists.list_sql(shape), "21, 0"), (product_lists.count_sql(shape), "100")):
        await full.execute(f"PREPARE found AS {statement}")
        rows = await full.fetch(f"EXPLAIN (ANALYZE) EXECUTE found ({arguments}, {rest})")
        await full.execute("DEALLOCATE found")
        text = "\n".join(row[0] for row in rows)
        scans = re.finditer(r"Scan.* on category_listings .*actual time=.* rows=([\d.]+) loops=(\d+)", text)
        read = [float(match[1]) * int(match[2]) for match in scans]
        assert "category_listings" in text
        assert max(read, default=0) <= products, text
        assert "Seq Scan on" not in text, text
    expected = await full.fetchval("SELECT count(*) FROM products WHERE folded_options @@ $1::text::jsonpath", f'$."colour" == "{colour}"')
    assert expected == products


async def test_a_list_with_options_or_prices_is_planned_for_each_of_its_calls(full: "Conn") -> None:
    """A plan for all calls would suit rare options or common ones. PostgreSQL takes it for good if the first calls look dearer."""
    await full.execute(GROUP)
    await full.execute("RESET plan_cache_mode")
    parent = await full.fetchval("SELECT id FROM categories WHERE name = 'category 1'")
    for shape in variant_shapes():
        if shape.query or shape.after or shape.group or shape.order not in SOME_ORDERS or not (shape.options or shape.prices()):
            continue
        given = [("category", f"'{parent}'"), ("min_price", "1"), ("max_price", "10000000"), ("options", """'($."colour" == "black")'""")]
        arguments = ", ".join(value for name, value in given if name in shape.parameters())
        facet = facets.facets_sql(replace(shape, collapse=False), chosen=False)
        for statement, rest in ((product_lists.list_sql(shape), "21, 0"), (product_lists.count_sql(shape), "10000"), (facet, "10001")):
            await full.execute(f"PREPARE listed AS {statement}")
            for _ in range(7):
                await full.execute(f"EXPLAIN EXECUTE listed ({arguments}, {rest})")
            [made] = await full.fetch("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'listed'")
            await full.execute("DEALLOCATE listed")
            assert tuple(made) == (0, 7), f"{shape}\n{statement}"


async def test_facets_read_no_table_from_end_to_end(full: "Conn") -> None:
    await full.execute(GROUP)
    for shape in variant_shapes():
        if shape.order is ProductOrder.NEWEST and not shape.after and not shape.collapse:
            for each, chosen in itertools.product((shape, replace(shape, options=False)), (False, True)):
                text = await plan(full, facets.facets_sql(each, chosen=chosen))
                assert "Seq Scan on" not in text, f"{each}\n{text}"


async def test_a_list_of_deleted_products_reads_no_others(full: "Conn") -> None:
    for order, after in itertools.product((ProductOrder.NEWEST, ProductOrder.OLDEST), (False, True)):
        text = await plan(full, product_lists.list_sql(Shape(order=order, after=after, deleted=Deleted.ONLY)))
        assert "using products_deleted on products" in text
        assert "Sort" not in text


async def test_searches_read_no_table_from_end_to_end(full: "Conn") -> None:
    for shape in (shape for shape in shapes() if shape.query):
        for statement in (product_lists.list_sql(shape), product_lists.count_sql(shape)):
            text = await plan(full, statement)
            assert "Seq Scan on" not in text, f"{shape}\n{text}"
            assert "product_search_by_shelf" in text, f"{shape}\n{text}"


async def test_an_archive_of_a_tax_category_looks_a_product_up(full: "Conn") -> None:
    """The query is that of PostgreSQL's own check of a foreign key (ri_triggers.c)."""
    check = "SELECT 1 FROM ONLY products x WHERE $1::text = tax_category AND $2::boolean = tax_category_live FOR KEY SHARE OF x"
    assert "using products_by_tax_category on products" in await plan(full, check)


async def test_a_search_is_planned_once(full: "Conn") -> None:
    await full.execute("RESET plan_cache_mode")
    statements = [product_lists.list_sql(Shape(order=order, after=False, query=True)) for order in ProductOrder]
    searches = [await full.prepare(statement) for statement in statements]
    for prepared in searches:
        for _ in range(7):
            await prepared.fetch(*search.arguments("thing"), 21, 0)
    plans = await full.fetch("SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement = ANY($1)", statements)
    assert [tuple(row) for row in plans] == [(5, 2)] * len(ProductOrder)  # the first five executions are always planned anew


@pytest.mark.parametrize("order", [ProductOrder.RELEVANCE, ProductOrder.NEWEST, ProductOrder.OLDEST], ids=lambda order: order.name)
async def test_a_common_word_is_read_from_the_nearest_shelves_and_a_rare_one_from_all(full: "Conn", order: ProductOrder) -> None:
    statement = product_lists.list_sql(Shape(order=order, after=False, query=True))
    for text, expected in (("thing", len(search._PARTS)), ("number 12345", 0)):
        values = f"{literals(text)}, 21, 0"
        await full.execute(f"PREPARE search AS {statement}")
        rows = await full.fetch(f"EXPLAIN (ANALYZE) EXECUTE search ({values})")
        await full.execute("DEALLOCATE search")
        unread = [row[0] for row in rows if "Bitmap Heap Scan" in row[0] and "never executed" in row[0]]
        assert len(unread) == expected, "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_a_search_reads_the_products_of_its_page_and_of_stock_only_what_fills_it(full: "Conn", order: ProductOrder) -> None:
    for in_stock, most in ((False, 21), (True, 321)):  # 6 of 7 products are in stock, of which 200 are ranked; 21 fill the page
        statement = product_lists.list_sql(Shape(order=order, after=False, query=True, max_price=True, in_stock=in_stock))
        await full.execute(f"PREPARE search AS {statement}")
        rows = await full.fetch(f"EXPLAIN (ANALYZE) EXECUTE search ({literals('thing')}, 4000, 21, 0)")
        await full.execute("DEALLOCATE search")
        text = "\n".join(row[0] for row in rows)
        assert "Seq Scan on" not in text, text
        by_id = {"products": "products_(?:pkey|currency_code_key)", "stock_levels": "stock_levels_pkey"}
        read = {table: sum(map(int, re.findall(rf"using {index} .* loops=(\d+)", text))) for table, index in by_id.items()}
        assert read["products"] == 21, text
        assert 21 <= read["stock_levels"] <= most, text


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("order", [ProductOrder.CHEAPEST, ProductOrder.DEAREST, ProductOrder.NAME, ProductOrder.NAME_DESCENDING])
async def test_a_search_by_price_or_name_walks_along_an_index_of_documents(full: "Conn", order: ProductOrder, *, after: bool) -> None:
    text = await plan(full, product_lists.list_sql(Shape(order=order, after=after, query=True)))
    walk = text.partition("CTE walked")[2].splitlines()[1:3]
    assert "Limit" in walk[0], text
    assert f"using product_search_by_{'name_key' if order.name.startswith('NAME') else 'price'}" in walk[1], text
    assert "Seq Scan on" not in text, text


# The products of one category are the dearest.
SPREAD_KEYS = """
UPDATE product_search
   SET price_minor = (1000 + number * 7 % 9000)
                     * CASE WHEN category_ids @> ARRAY[(SELECT id FROM categories ORDER BY id LIMIT 1)] THEN 1000 ELSE 1 END,
       name_key = substr(sha256(product_id::text::bytea), 1, 1),
       words = CASE WHEN number % 41 = 0 THEN words || 'seldom:1'::tsvector ELSE words END;
UPDATE products
   SET price_minor = document.price_minor, name_key = document.name_key
  FROM product_search AS document
 WHERE document.product_id = id;
ANALYZE products, product_search;
"""


@pytest.mark.parametrize("order", [ProductOrder.CHEAPEST, ProductOrder.DEAREST, ProductOrder.NAME, ProductOrder.NAME_DESCENDING])
@pytest.mark.parametrize("category", [False, True])
async def test_a_search_by_price_or_name_reads_the_nearest_shelves_only(full: "Conn", order: ProductOrder, *, category: bool) -> None:
    await full.execute(SPREAD_KEYS)
    category_id = await full.fetchval("SELECT id FROM categories ORDER BY id LIMIT 1")
    values = [literals("thing"), f"'{category_id}'", "3", "0"] if category else [literals("seldom"), "21", "0"]
    await full.execute(f"PREPARE search AS {product_lists.list_sql(Shape(order=order, after=False, query=True, category=category))}")
    rows = await full.fetch(f"EXPLAIN (ANALYZE) EXECUTE search ({', '.join(values)})")
    text = "\n".join(row[0] for row in rows)
    scans = [row[0] for row in rows if "Bitmap Heap Scan on product_search" in row[0]]
    read = sum(int(re.findall(r"rows=(\d+)", scan)[-1]) for scan in scans if "never executed" not in scan)
    matches = await full.fetchval(
        "SELECT count(*) FROM product_search WHERE words @@ $1::text::tsquery AND ($2::uuid IS NULL OR category_ids @> ARRAY[$2])",
        "thing" if category else "seldom",
        category_id if category else None,
    )
    assert "never executed" in scans[-1], text  # all other shelves
    assert 3 <= read < matches / 2, text


async def test_a_word_is_corrected_and_completed_by_an_index(full: "Conn") -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676 % 26)}{chr(97 + n // 17576)}word" for n in range(20_000)]
    await full.execute(
        "INSERT INTO search_words (word, products, stem, keys) SELECT word, 1, word, string_to_array(keys, ' ')"
        " FROM unnest($1::text[], $2::text[]) AS made (word, keys)",
        words,
        [" ".join(spelling.keys(word)) for word in words],
    )
    await full.execute("ANALYZE search_words")
    corrected = await plan(full, search.FIND_CANDIDATES)
    assert "search_words_by_key" in corrected, corrected
    completed = await plan(full, product_lists.list_sql(Shape(order=ProductOrder.RELEVANCE, after=False, query=True)))
    assert "search_words_pkey" in completed, completed
    for text in (corrected, completed):
        assert "Seq Scan on" not in text, text


async def test_documents_of_older_rules_are_found_by_an_index(full: "Conn") -> None:
    for statement in (search_documents.HAS_OLD, search_documents.LOCK_OLD):
        assert "product_search_of_old_rules" in await plan(full, statement)


FILL_AUDIT_LOG = """
INSERT INTO audit_log (actor_kind, actor_id, action, subject_id, before, after, request_id)
SELECT 'administrator', (SELECT id FROM accounts WHERE email = 'a' || (n % 5 + 1) || '@example.com'), 'product.updated', id, '{}', '{}', ''
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM products) AS product;
ANALYZE audit_log;
"""
FLAGS = (False, True)
AUDIT_LISTS = [audit_log.list_sql(actor=actor, subject=subject, action=action) for actor in FLAGS for subject in FLAGS for action in FLAGS]
ROLES = (None, Role.USER, Role.ADMIN)
PROMOTION_LISTS = [
    promotions.LIST_PROMOTIONS,
    promotions.LIST_LIVE_PROMOTIONS,
    promotions.COUNT_BUYERS,
    promotion_codes.LIST_CODES,
    promotion_codes.LIST_CODES_OF_BATCH,
]
USER_LISTS = [users.list_sql(query=query, role=role, disabled=disabled) for query in FLAGS for role in ROLES for disabled in (None, *FLAGS)]


async def test_lists_for_administrators_read_no_table_from_end_to_end(full: "Conn") -> None:
    await full.execute(FILL_AUDIT_LOG)
    for statement in (*AUDIT_LISTS, *USER_LISTS, users.LOCK_ADMINS, *PROMOTION_LISTS):
        text = await plan(full, statement)
        assert "Seq Scan on" not in text, text


FILL_PAYMENT_LISTS = """
UPDATE provider_events SET quarantined_at = now(), resolved_at = CASE WHEN random() < 0.5 THEN now() END
 WHERE event_id IN (SELECT event_id FROM provider_events LIMIT 20);
ANALYZE provider_events;
"""
PAYMENT_LISTS = [
    *(("payments", condition) for condition in ("", "order", "state")),
    *(("refunds", condition) for condition in ("", "order", "state")),
    *(("disputes", condition) for condition in ("", "state")),
    *(("provider_requests", condition) for condition in ("", "open")),
    *(("provider_events", condition) for condition in ("quarantined", "unresolved")),
]


async def test_lists_of_payments_and_their_records_read_a_page_by_an_index(full: "Conn") -> None:
    await full.execute(FILL_PAYMENT_LISTS)
    for table, condition in PAYMENT_LISTS:
        text = await plan(full, payment_lists.list_sql(table, condition))
        lines = text.splitlines()
        assert "Limit" in lines[0], text
        assert f" on {table} " in lines[1], text
        assert "Index" in lines[1], text
        assert "Sort" not in text, text
        expected = {"provider_events": "provider_events_quarantined", "provider_requests": "provider_requests_unsettled"}
        assert condition in ("", "order", "state") or expected[table] in lines[1], text


TAX_LISTS = [
    *(tax_rates.list_sql(country=country, archived=archived) for country in FLAGS for archived in FLAGS),
    *(tax_categories.list_sql(archived=archived) for archived in FLAGS),
]


async def test_lists_of_taxes_and_checks_of_rates_read_few_rows_by_an_index(full: "Conn") -> None:
    for statement in TAX_LISTS:
        text = await plan(full, statement)
        assert "Limit" in text.splitlines()[0], text
        assert "tax_rates_by_place" in text or "tax_categories_pkey" in text, text
        assert "Sort" not in text, text
    assert "tax_rates_overlap_excl" in await plan(full, tax_rates.FIND_OVERLAP)
    assert "tax_rates_by_category" in await plan(full, tax_categories.IS_CATEGORY_USED)


async def test_a_rare_text_is_looked_up_and_a_common_one_is_met_on_the_way(full: "Conn") -> None:
    await full.execute(f"RESET plan_cache_mode; BEGIN; {users.PLAN_FOR_THE_TEXT}")
    statement = await full.prepare(users.list_sql(query=True, role=None, disabled=None))
    below = Page(1).below

    async def uses(text: str) -> str:
        return json.dumps(await statement.explain(below, 21, text))

    assert "accounts_by_text" in await uses("a1234@")
    assert "accounts_by_text" not in await uses("example")


async def test_lists_are_as_many_statements_however_long_they_are(settings: Settings) -> None:
    pool = await create_pool(replace(settings, pool_size=1))
    sent: list[str] = []
    async with pool.acquire() as conn:
        conn.add_query_logger(lambda query: sent.append(query.query))

    async def count() -> int:
        sent.clear()
        await users.users(pool, AccountFilter(), Page(100))
        await audit_log.entries(pool, AuditFilter(), Page(100))
        return len([query for query in sent if query.lstrip().startswith("SELECT")])

    short = await count()
    await pool.execute(SMALL_SHOP)
    await pool.execute(
        "INSERT INTO audit_log (actor_kind, action, before, after, request_id)"
        " SELECT 'system', 'x', '{}', '{}', '' FROM generate_series(1, 50)"
    )
    assert await count() == short == 2
    pool.terminate()


async def test_a_sale_writes_the_stock_alone_and_touches_no_index(full: "Conn") -> None:
    await full.execute("VACUUM stock_levels")
    account_id, product_id, version = await full.fetchrow(  # type: ignore[misc] # there is one
        "SELECT a.id, product_id, product.version FROM accounts a, stock_levels JOIN products product ON product.id = product_id"
        " WHERE on_hand > 0 LIMIT 1"
    )
    order, line = [[account_id], [uuid.uuid4()], [1], [None], [None]], [[account_id], [product_id], [1], [version]]
    [placed] = await full.fetch(orders.PLACE_PLAIN_ORDERS, 20, *order, "USD", None, *line, "0", ["a@example.com"])
    assert placed["is_placed"]
    await full.execute("SELECT pg_stat_force_next_flush()")
    statistics = await full.fetch(
        "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname IN ('products', 'stock_levels') ORDER BY relname"
    )
    assert [tuple(row) for row in statistics] == [("products", 0, 0), ("stock_levels", 1, 1)]


SMALL_SHOP = """
INSERT INTO accounts (email, full_name, role, password_hash) SELECT 'a' || n, '', 'user', '' FROM generate_series(1, 5) n;
INSERT INTO products (name, description, price_minor, currency_code, image_urls)
SELECT 'p' || n, '', 1, 'USD', '{}' FROM generate_series(1, 5) n;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1000 FROM products;
INSERT INTO sessions (account_id, user_agent, ip_address, expires_at) SELECT id, '', '', now() + interval '1 day' FROM accounts;
"""
FILL_CARTS = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT a.id, p.id, 1, 1, 'USD' FROM accounts a, products p
"""


async def test_checkouts_scan_no_table_however_small_it_was_when_it_was_analysed(settings: Settings) -> None:
    pool = await create_pool(replace(settings, pool_size=1))  # one connection, because its cached plans are tested
    await pool.execute(SMALL_SHOP)
    buyers, shop = [Checkout(*row) for row in await pool.fetch("SELECT account_id, id FROM sessions")], orders.Shop("USD")

    async def scans() -> int:
        await pool.execute("SELECT pg_stat_force_next_flush()")
        return int(await pool.fetchval("SELECT sum(seq_scan) FROM pg_stat_user_tables"))

    async def buy() -> int:
        """Fill all carts and buy them; return the scans of the checkouts only."""
        await pool.execute(FILL_CARTS)
        before = await scans()
        assert len(await orders.checkout(pool, buyers, shop)) == 5
        return await scans() - before

    await buy()
    await pool.execute("ANALYZE")
    assert [await buy() for _ in range(10)] == [0] * 10
    pool.terminate()


async def test_checkouts_and_changes_of_carts_are_never_planned_for_one_call(settings: Settings) -> None:
    pool = await create_pool(replace(settings, pool_size=1))
    await pool.execute(SMALL_SHOP)
    people = [tuple(row) for row in await pool.fetch("SELECT account_id, id FROM sessions")]
    product_id = await pool.fetchval("SELECT id FROM products LIMIT 1")
    for account_id, session_id in people * 2:
        await carts.add(pool, [carts.LineChange(account_id, product_id, 1, session_id)], PriceBook())
        [order] = await orders.checkout(pool, [Checkout(account_id, session_id)], orders.Shop("USD"))
        assert isinstance(order, Order)
    plans = await pool.fetch(
        "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement = ANY($1)",
        [locked_carts.LOCK_CARTS, orders.PLACE_PLAIN_ORDERS, carts.ADD_LINES],
    )
    assert [tuple(row) for row in plans] == [(0, 2 * len(people))] * 3
    pool.terminate()


GROW = """
INSERT INTO products (name, description, price_minor, currency_code, image_urls)
SELECT 'new ' || n, '', 1, 'USD', '{}' FROM generate_series(1, 20000) n;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1000 FROM products ON CONFLICT DO NOTHING;
"""
COUNT_READ = """
SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::integer
  FROM pg_stat_user_tables
 WHERE relname IN ('products', 'stock_levels')
"""
COUNT_INDEXED = "SELECT sum(idx_tup_read)::integer FROM pg_stat_user_indexes WHERE relname IN ('products', 'stock_levels')"


@pytest.mark.parametrize("small", [1, 30])
async def test_plans_that_were_made_in_a_small_shop_read_few_products_when_it_has_grown(settings: Settings, small: int) -> None:
    pool = await create_pool(replace(settings, pool_size=1))  # one connection, because its cached plans are tested
    other = await asyncpg.connect(settings.database_url)
    await other.execute(SMALL_SHOP)
    await other.execute(
        "INSERT INTO products (name, description, price_minor, currency_code, image_urls)"
        " SELECT 'p', '', 1, 'USD', '{}' FROM generate_series(6, $1::integer)",
        small,
    )
    await other.execute("INSERT INTO stock_levels (product_id, on_hand) SELECT id, 9 FROM products ON CONFLICT DO NOTHING")
    if small > 1:
        await other.execute("ANALYZE")
    account_id, session_id = tuple(await other.fetchrow("SELECT account_id, id FROM sessions LIMIT 1") or ())
    product_ids = [row["id"] for row in await other.fetch("SELECT id FROM products LIMIT 3")]

    async def shop() -> None:
        """Fill a cart, read it and buy it."""
        for product_id in product_ids:
            await carts.add(pool, [carts.LineChange(account_id, product_id, 1, session_id)], PriceBook())
            await carts.put(pool, [carts.LineChange(account_id, product_id, 1, session_id)], PriceBook())
        await carts.get(pool, [account_id], PriceBook())
        [order] = await orders.checkout(pool, [Checkout(account_id, session_id)], orders.Shop("USD"))
        assert isinstance(order, Order)

    async def count() -> int:
        for each in (pool, other):  # GROW reads what the other connection counts
            await each.execute("SELECT pg_stat_force_next_flush()")
        return int(max(await other.fetchval(COUNT_READ), await other.fetchval(COUNT_INDEXED)))

    await shop()
    await other.execute(GROW)
    before = await count()
    await shop()
    assert await count() - before < 200
    await other.close()
    pool.terminate()
