"""Import and export of the catalog: batches of products to write, and all products as CSV."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import Conflict
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import audit_log, events, inventory, search_documents, slugs
from mercato_server.store.events import Event
from mercato_server.store.spreadsheets import protected, write_csv

# One table per connection: a new table for each batch would bloat the system catalog. NULL keeps the value of an existing product.
CREATE_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    place       integer NOT NULL,
    sku         text NOT NULL,
    name        text NOT NULL,
    name_key    bytea NOT NULL,
    description text,
    price_minor bigint NOT NULL,
    category_id uuid,  -- the nil UUID means no category
    stock       integer,
    image_urls  text[],
    tax_category text,  -- empty: none
    needs_delivery boolean,
    weight_grams integer,
    slug        text
) ON COMMIT DELETE ROWS
"""

# Each row of a batch finds its product by an index scan on the SKU, for any number of products.
PLAN_LOOKUPS = "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"

LOCK_CATEGORIES = """
SELECT id, name
  FROM categories
 WHERE name = ANY($1::text[])
 ORDER BY id
   FOR KEY SHARE  -- prevents their deletion before the batch commits
"""

ADD_CATEGORIES = """
INSERT INTO categories (name, keyed_name, name_key, name_key_rule)
SELECT name, name, name_key, $3
  FROM unnest($1::text[], $2::bytea[]) AS missing (name, name_key)
 ORDER BY name  -- one order for every import
    ON CONFLICT (name) DO NOTHING
RETURNING id, name
"""

# The statement waits for a concurrent transaction that takes a SKU. Then the product exists, and the next statements see it.
ADD_PRODUCTS = """
WITH added AS (
    INSERT INTO products (name, name_key, description, price_minor, category_id, sku, image_urls, tax_category, needs_delivery,
                          weight_grams, currency_code)
    SELECT name, name_key, coalesce(description, ''), price_minor, nullif(category_id, '00000000-0000-0000-0000-000000000000'), sku,
           coalesce(image_urls, '{}'), nullif(tax_category, ''), coalesce(needs_delivery, false), coalesce(weight_grams, 0),
           (SELECT currency_code FROM shop)
      FROM incoming
     WHERE NOT EXISTS (SELECT FROM products WHERE products.sku = incoming.sku AND deleted_at IS NULL)
     ORDER BY place
        ON CONFLICT (sku) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id, sku
), happened AS (
    INSERT INTO events (kind, subject_id) SELECT 'product.created', id FROM added
)
SELECT id, sku FROM added
"""

# This compares the stock at the start of the statement; the next statement locks it.
LOCK_CHANGED = """
SELECT products.id, incoming.stock, CASE WHEN incoming.slug IS DISTINCT FROM products.slug THEN incoming.slug END AS new_slug
  FROM incoming
  JOIN products ON products.sku = incoming.sku AND deleted_at IS NULL
  JOIN stock_levels AS level ON level.product_id = products.id AND level.location_id = 1
 WHERE (products.name, products.description, products.price_minor, level.on_hand, products.image_urls, products.needs_delivery,
        products.weight_grams, coalesce(products.tax_category, ''))
       IS DISTINCT FROM (incoming.name, coalesce(incoming.description, products.description), incoming.price_minor,
                         coalesce(incoming.stock, level.on_hand), coalesce(incoming.image_urls, products.image_urls),
                         coalesce(incoming.needs_delivery, products.needs_delivery),
                         coalesce(incoming.weight_grams, products.weight_grams),
                         coalesce(incoming.tax_category, products.tax_category, ''))
    OR products.category_id
       IS DISTINCT FROM nullif(coalesce(incoming.category_id, products.category_id), '00000000-0000-0000-0000-000000000000')
    OR coalesce(products.slug, '') <> coalesce(incoming.slug, products.slug, '')
 ORDER BY products.id  -- one lock order for all writers
   FOR NO KEY UPDATE OF products
"""

UPDATE_PRODUCTS = """
WITH changed AS (
    UPDATE products
       SET name = incoming.name, name_key = incoming.name_key, description = coalesce(incoming.description, products.description),
           price_minor = incoming.price_minor,
           category_id = nullif(coalesce(incoming.category_id, products.category_id), '00000000-0000-0000-0000-000000000000'),
           image_urls = coalesce(incoming.image_urls, products.image_urls),
           tax_category = nullif(coalesce(incoming.tax_category, products.tax_category), ''),
           needs_delivery = coalesce(incoming.needs_delivery, products.needs_delivery),
           weight_grams = coalesce(incoming.weight_grams, products.weight_grams), version = version + 1, updated_at = now()
      FROM incoming
     WHERE products.id = ANY($1::uuid[]) AND products.sku = incoming.sku AND deleted_at IS NULL
    RETURNING products.id
)
INSERT INTO events (kind, subject_id) SELECT 'product.updated', id FROM changed
"""


def _export(shown: Callable[[str], str]) -> str:
    """Return the statement of an export that shows each text by the expression of its column."""
    return f"""
SELECT {shown("sku")} AS sku, {shown("products.name")} AS name, {shown("description")} AS description, price_minor,
       {shown("categories.name")} AS category, level.on_hand AS stock,
       {shown("array_to_string(image_urls, ' ')")} AS image_urls, tax_category, needs_delivery::text AS needs_delivery, weight_grams,
       products.slug
  FROM products
  JOIN stock_levels AS level ON level.product_id = products.id AND level.location_id = 1
  LEFT JOIN categories ON categories.id = category_id
 WHERE deleted_at IS NULL AND sku IS NOT NULL
 ORDER BY products.id
"""  # noqa: S608 - constants


EXPORT_PRODUCTS = _export(str)

EXPORT_FOR_SPREADSHEETS = _export(protected)

COUNT_WITHOUT_SKU = "SELECT count(*) FROM products WHERE deleted_at IS NULL AND sku IS NULL"

NO_CATEGORY = UUID(int=0)


class Incoming(NamedTuple):
    """A product in the file of an import. None keeps the value of an existing product; an empty category means no category."""

    sku: str
    name: str
    description: str | None
    price_minor: int
    category: str | None
    stock: int | None
    image_urls: Sequence[str] | None
    tax_category: str | None = None
    """Empty for none."""
    needs_delivery: bool | None = None
    weight_grams: int | None = None
    slug: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The numbers of products that a batch has created and updated."""

    created: int
    updated: int


GET_TAX_CATEGORIES = "SELECT id FROM tax_categories WHERE archived_at IS NULL"


async def tax_categories(pool: "Pool") -> set[str]:
    """Return the ids of the tax categories that products may have."""
    return {row["id"] for row in await pool.fetch(GET_TAX_CATEGORIES)}


@retry_conflicts
async def write(pool: "Pool", batch: Sequence[Incoming], source: str, actor: Actor) -> Written:
    """Create and update products by SKU, and create missing categories. SKUs must differ within the batch.

    Products that do not differ from the batch are not written: they keep their version and have no event. Changes of stock are written to
    the ledger. A batch that changes products appends one entry to the audit log, which names its source. Raises Conflict if one of its tax
    categories is archived.
    """
    async with transaction(pool) as conn:
        await conn.execute(PLAN_LOOKUPS)
        await conn.execute(CREATE_INCOMING)
        categories = await _categories(conn, {row.category for row in batch if row.category}, actor)
        await conn.copy_records_to_table(
            "incoming", schema_name="pg_temp", records=[_record(place, row, categories) for place, row in enumerate(batch)]
        )
        try:
            created = await _add(conn, batch, actor)
            changed = [] if len(created) == len(batch) else await _update(conn, actor)
        except asyncpg.ForeignKeyViolationError as error:
            raise _constraint(error) from None
        if created or changed:
            await search_documents.index(conn, [*created, *changed])
            counts = {"created": len(created), "updated": len(changed)}
            await audit_log.append(conn, actor, "catalog.imported", None, {}, {"source": source, **counts})
        return Written(len(created), len(changed))


def _constraint(error: asyncpg.ForeignKeyViolationError) -> Exception:
    if error.constraint_name == "products_tax_category_fkey":
        return Conflict("a tax category of the products has been archived meanwhile")
    return error


async def _add(conn: "Conn", batch: Sequence[Incoming], actor: Actor) -> list[UUID]:
    """Create the missing products with their stock; return their ids."""
    added = {row["sku"]: row["id"] for row in await conn.fetch(ADD_PRODUCTS)}
    new = [(added[row.sku], row) for row in batch if row.sku in added]
    stock = {id_: row.stock or 0 for id_, row in new}
    if stock:
        await _name(conn, {id_: row.slug for id_, row in new}, {id_: row.name for id_, row in new})
        await inventory.open_levels(conn, stock, actor, "import")
    return list(stock)


async def _update(conn: "Conn", actor: Actor) -> list[UUID]:
    """Write the products that differ, and their stock; return their ids."""
    rows = await conn.fetch(LOCK_CHANGED)
    wanted = {row["id"]: row["stock"] for row in rows}
    new_slugs = {row["id"]: row["new_slug"] for row in rows if row["new_slug"]}
    if not wanted:
        return []
    stock = await inventory.lock(conn, wanted)
    deltas = {id_: units - stock[id_] for id_, units in wanted.items() if units not in (None, stock[id_])}
    if deltas:
        await inventory.adjust(conn, deltas, actor, "import")
    await conn.execute(UPDATE_PRODUCTS, list(wanted))
    if new_slugs:
        await slugs.put(conn, SlugKind.PRODUCT, new_slugs)
    return list(wanted)


async def _name(conn: "Conn", wanted: Mapping[UUID, str | None], names: Mapping[UUID, str]) -> None:
    """Give new products the slugs of the file, and the others slugs of their names."""
    given = {id_: slug for id_, slug in wanted.items() if slug}
    if given:
        await slugs.put(conn, SlugKind.PRODUCT, given)
    if others := [slugs.Named(id_, name) for id_, name in names.items() if id_ not in given]:
        await slugs.give(conn, SlugKind.PRODUCT, others)


def _record(place: int, row: Incoming, categories: dict[str, UUID]) -> tuple[object, ...]:
    category_id = None if row.category is None else categories.get(row.category, NO_CATEGORY)
    return (place, row.sku, row.name, name_key(row.name), row.description, row.price_minor, category_id, *row[5:])


async def _categories(conn: "Conn", names: Collection[str], actor: Actor) -> dict[str, UUID]:
    """Return the ids of categories by name, locked against deletion; create the missing ones."""
    found: dict[str, UUID] = {}
    while missing := sorted(set(names) - set(found)):  # again if a concurrent transaction created or deleted one
        found |= {row["name"]: row["id"] for row in await conn.fetch(LOCK_CATEGORIES, missing)}
        names = [name for name in missing if name not in found]
        added = await conn.fetch(ADD_CATEGORIES, names, [name_key(name) for name in names], RULE_VERSION)
        created = {row["name"]: row["id"] for row in added}
        given = await slugs.give(conn, SlugKind.CATEGORY, [slugs.Named(id_, name) for name, id_ in created.items()])
        if created:
            await events.append(conn, [Event(EventKind.CATEGORY_CREATED, id_) for id_ in created.values()])
        for name, id_ in created.items():
            await audit_log.append(conn, actor, "category.created", id_, {}, {"name": name, "slug": given.get(id_)})
        found |= created
    return found


async def export(pool: "Pool", output: BinaryIO, *, spreadsheet_safe: bool = False) -> tuple[int, int]:
    """Write the products on sale that have a SKU as CSV, oldest first; return the numbers of written products and of those without SKU.

    With `spreadsheet_safe` a spreadsheet takes no cell for a formula.
    The export reads one snapshot, and its memory does not grow with the number of products.
    """
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        query = EXPORT_FOR_SPREADSHEETS if spreadsheet_safe else EXPORT_PRODUCTS
        written = await write_csv(conn, query, output=output, force_quote=spreadsheet_safe or None)
        return written, int(await conn.fetchval(COUNT_WITHOUT_SKU))
