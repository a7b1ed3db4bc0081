"""Import and export of the catalog: batches of products to write, and all products as CSV."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import StaleReadError, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import Conflict
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.picture_errors import PicturesLimit
from mercato_server.domain.pictures import PICTURES_MAX
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import (
    audit_log,
    bulk_descriptions,
    bulk_groups,
    events,
    inventory,
    search_documents,
    shown_pictures,
    slugs,
    variants,
)
from mercato_server.store.bulk_groups import Groups, Placement
from mercato_server.store.events import Event
from mercato_server.store.spreadsheets import protected, write_csv
from mercato_server.store.variants import LockedGroups

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
    slug        text,
    description_html text,  -- empty: none
    group_id    uuid,  -- the nil UUID means no group; the columns below are those of the group
    options     jsonb,
    folded_options jsonb,
    options_text text,
    position    integer
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

# New variants get their folded options with FILL_OPTIONS, after all others have given theirs up. Without a position they follow the others.
# The statement waits for a concurrent transaction that takes a SKU. Then the product exists, and the next statements see it.
ADD_PRODUCTS = """
WITH added AS (
    INSERT INTO products (name, name_key, description, price_minor, category_id, sku, image_urls, tax_category, needs_delivery,
                          weight_grams, description_html, group_id, options, options_text, position, is_listed, currency_code)
    SELECT name, name_key, coalesce(description, ''), price_minor, nullif(category_id, '00000000-0000-0000-0000-000000000000'), sku,
           coalesce(image_urls, '{}'), nullif(tax_category, ''), coalesce(needs_delivery, false), coalesce(weight_grams, 0),
           nullif(description_html, ''), nullif(group_id, '00000000-0000-0000-0000-000000000000'), coalesce(options, '[]'),
           coalesce(options_text, ''),
           coalesce(position, (SELECT max(other.position) FROM products AS other WHERE other.group_id = incoming.group_id) + place + 1,
                    place + 1),
           coalesce(group_id, '00000000-0000-0000-0000-000000000000') = '00000000-0000-0000-0000-000000000000',
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

# Part of a statement: whether a row differs from its product in what concerns a group.
_REGROUPED = """(products.group_id IS DISTINCT FROM
           nullif(coalesce(incoming.group_id, products.group_id), '00000000-0000-0000-0000-000000000000')
        OR products.options <> coalesce(incoming.options, products.options)
        OR products.position <> coalesce(incoming.position, products.position))"""

# Part of a statement: whether a row changes the group of its product. So do variants whose price differs.
_CHANGES_GROUP = f"({_REGROUPED} OR (products.group_id IS NOT NULL AND products.price_minor <> incoming.price_minor))"

# Products whose groups the batch changes: variants whose price differs, and products that enter, leave or change places.
FIND_REGROUPED = f"""
SELECT products.id
  FROM incoming
  JOIN products ON products.sku = incoming.sku AND deleted_at IS NULL
 WHERE {_CHANGES_GROUP}
"""  # noqa: S608 - constants

# This compares the stock at the start of the statement; the next statement locks it. `group_ids` are the groups that the row changes. Other
# transactions may have ended since FIND_REGROUPED, so these may be more.
LOCK_CHANGED = f"""
SELECT products.id, products.sku, products.description_html, incoming.stock,
       CASE WHEN incoming.slug IS DISTINCT FROM products.slug THEN incoming.slug END AS new_slug,
       CASE WHEN {_CHANGES_GROUP}
            THEN ARRAY[products.group_id, nullif(incoming.group_id, '00000000-0000-0000-0000-000000000000')] END AS group_ids,
       cardinality(incoming.image_urls) AS external, jsonb_array_length(products.pictures) AS uploaded
  FROM incoming
  JOIN products ON products.sku = incoming.sku AND deleted_at IS NULL
  JOIN stock_levels AS level ON level.product_id = products.id AND level.location_id = 1
 WHERE {_REGROUPED}
    OR (products.name, products.description, products.price_minor, level.on_hand, products.image_urls, products.needs_delivery,
        products.weight_grams, coalesce(products.tax_category, ''), coalesce(products.description_html, ''))
       IS DISTINCT FROM (incoming.name, coalesce(incoming.description, products.description), incoming.price_minor,
                         coalesce(incoming.stock, level.on_hand), coalesce(incoming.image_urls, products.image_urls),
                         coalesce(incoming.needs_delivery, products.needs_delivery),
                         coalesce(incoming.weight_grams, products.weight_grams),
                         coalesce(incoming.tax_category, products.tax_category, ''),
                         coalesce(incoming.description_html, products.description_html, ''))
    OR products.category_id
       IS DISTINCT FROM nullif(coalesce(incoming.category_id, products.category_id), '00000000-0000-0000-0000-000000000000')
    OR coalesce(products.slug, '') <> coalesce(incoming.slug, products.slug, '')
 ORDER BY products.id  -- one lock order for all writers
   FOR NO KEY UPDATE OF products
"""  # noqa: S608 - constants

UPDATE_PRODUCTS = """
WITH changed AS (
    UPDATE products
       SET name = incoming.name, name_key = incoming.name_key, description = coalesce(incoming.description, products.description),
           price_minor = incoming.price_minor,
           category_id = nullif(coalesce(incoming.category_id, products.category_id), '00000000-0000-0000-0000-000000000000'),
           image_urls = coalesce(incoming.image_urls, products.image_urls),
           tax_category = nullif(coalesce(incoming.tax_category, products.tax_category), ''),
           needs_delivery = coalesce(incoming.needs_delivery, products.needs_delivery),
           weight_grams = coalesce(incoming.weight_grams, products.weight_grams),
           description_html = nullif(coalesce(incoming.description_html, products.description_html), ''),
           group_id = nullif(coalesce(incoming.group_id, products.group_id), '00000000-0000-0000-0000-000000000000'),
           options = coalesce(incoming.options, products.options),
           folded_options = CASE WHEN incoming.group_id IS NULL THEN products.folded_options END,
           options_text = coalesce(incoming.options_text, products.options_text),
           position = coalesce(incoming.position, products.position),
           is_listed = CASE incoming.group_id WHEN products.group_id THEN is_listed
                                              WHEN '00000000-0000-0000-0000-000000000000' THEN true
                                              ELSE incoming.group_id IS NULL AND is_listed END,
           version = version + 1, updated_at = now()
      FROM incoming
     WHERE products.id = ANY($1::uuid[]) AND products.sku = incoming.sku AND deleted_at IS NULL
    RETURNING products.id
)
INSERT INTO events (kind, subject_id) SELECT 'product.updated', id FROM changed
"""


FILL_OPTIONS = """
UPDATE products
   SET folded_options = incoming.folded_options
  FROM incoming
 WHERE products.id = ANY($1::uuid[]) AND products.sku = incoming.sku AND deleted_at IS NULL AND products.folded_options IS NULL
   AND incoming.folded_options IS NOT NULL
"""


# The cell of a variant's options, as domain/product_groups.py writes it.
_OPTIONS = r"""(SELECT string_agg(regexp_replace(option.pair->>0, '[\\;=]', '\\\&', 'g') || '='
                                   || regexp_replace(option.pair->>1, '[\\;=]', '\\\&', 'g'), ';' ORDER BY number)
                   FROM jsonb_array_elements(products.options) WITH ORDINALITY AS option (pair, number))"""


def _export(shown: Callable[[str], str]) -> str:
    """Return the statement of an export that shows each text by the expression of its column."""
    return f"""
SELECT {shown("sku")} AS sku, {shown("products.name")} AS name, {shown("description")} AS description, price_minor,
       {shown("categories.name")} AS category, level.on_hand AS stock,
       {shown("array_to_string(image_urls, ' ')")} AS image_urls, tax_category, needs_delivery::text AS needs_delivery, weight_grams,
       products.slug,
       {shown("owner.code")} AS "group", {shown("owner.name")} AS group_name, {shown(_OPTIONS)} AS options,
       CASE WHEN group_id IS NOT NULL THEN products.position END AS position,
       {shown("description_html")} AS description_html
  FROM products
  JOIN stock_levels AS level ON level.product_id = products.id AND level.location_id = 1
  LEFT JOIN categories ON categories.id = category_id
  LEFT JOIN product_groups AS owner ON owner.id = group_id
 WHERE deleted_at IS NULL AND sku IS NOT NULL
 ORDER BY products.id
"""  # noqa: S608 - constants


EXPORT_PRODUCTS = _export(str)

EXPORT_FOR_SPREADSHEETS = _export(protected)

COUNT_WITHOUT_SKU = "SELECT count(*) FROM products WHERE deleted_at IS NULL AND sku IS NULL"

FIND_KNOWN = """
SELECT incoming.sku
  FROM incoming
  JOIN products ON products.sku = incoming.sku AND deleted_at IS NULL AND products.group_id = incoming.group_id
"""

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
    description_html: str | None = None
    """Cleaned HTML; empty for none."""
    placement: Placement | None = None
    """Its place in a group; None keeps that of an existing product."""


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
    categories is archived, or PicturesLimit.
    """
    async with transaction(pool) as conn:
        await conn.execute(PLAN_LOOKUPS)
        await conn.execute(CREATE_INCOMING)
        htmls = await bulk_descriptions.of_html(conn, [row.sku for row in batch if row.description == "" and row.description_html is None])
        batch = [row._replace(description=htmls[row.sku][1]) if row.sku in htmls else row for row in batch]
        placements = [row.placement for row in batch if row.placement]
        groups = await bulk_groups.find_or_add(conn, placements, actor)
        categories = await _categories(conn, {row.category for row in batch if row.category}, actor)
        await _copy(conn, batch, categories, groups)
        locked = await _lock_groups(conn, batch, groups)
        try:
            created = await _add(conn, batch, actor)
            changed = {} if len(created) == len(batch) else await _update(conn, created, locked, htmls, actor)
            if placements and (created or changed):
                await conn.execute(FILL_OPTIONS, [*created, *changed])
        except (asyncpg.ForeignKeyViolationError, asyncpg.UniqueViolationError) as error:
            raise _constraint(error) from None
        await bulk_groups.rename(conn, placements, groups, actor)
        await variants.refresh(conn, locked)
        for row in created.values():
            locked.require(groups[row.placement.code].id if row.placement and row.placement.code else None)
        if created or changed:
            await search_documents.index(conn, [*created, *changed])
            things = [slugs.Named(id_, row.name, row.slug) for id_, row in created.items()]
            things += [slugs.Named(id_, "", slug) for id_, slug in changed.items() if slug]
            await slugs.assign(conn, SlugKind.PRODUCT, things)
            counts = {"created": len(created), "updated": len(changed)}
            await audit_log.append(conn, actor, "catalog.imported", None, {}, {"source": source, **counts})
        return Written(len(created), len(changed))


async def refused(pool: "Pool", batch: Sequence[Incoming]) -> dict[str, str]:
    """Return why which rows of a batch, by SKU, do not fit into the groups, or to the pictures, of the shop as they are now.

    It writes nothing.
    """
    external = {row.sku: len(row.image_urls) for row in batch if row.image_urls}
    crowded = {
        sku: f"image_urls: a product has at most {PICTURES_MAX} pictures, and {uploaded} are uploaded"
        for sku, uploaded in (await shown_pictures.uploaded(pool, list(external)) if external else {}).items()
        if uploaded + external[sku] > PICTURES_MAX
    }
    placed = {row.sku: row.placement for row in batch if row.placement and row.placement.code}
    if not placed:
        return crowded
    async with transaction(pool) as conn:
        await conn.execute(PLAN_LOOKUPS)
        await conn.execute(CREATE_INCOMING)
        groups = await bulk_groups.find(conn, placed.values())
        await _copy(conn, batch, {}, groups)
        return crowded | await bulk_groups.misfits(conn, placed, groups)


async def _copy(conn: "Conn", batch: Sequence[Incoming], categories: dict[str, UUID], groups: Groups) -> None:
    records = [_record(place, row, categories, groups) for place, row in enumerate(batch)]
    await conn.copy_records_to_table("incoming", schema_name="pg_temp", records=records)


async def _lock_groups(conn: "Conn", batch: Sequence[Incoming], groups: Groups) -> LockedGroups:
    """Lock the groups that the batch changes, with their variants. Raises Conflict if a row does not fit into its group any more."""
    regrouped = [row["id"] for row in await conn.fetch(FIND_REGROUPED)]
    placed = {row.sku: row.placement for row in batch if row.placement and row.placement.code}
    known = {row["sku"] for row in await conn.fetch(FIND_KNOWN)} if placed else set()
    touched = {groups[each.code].id for sku, each in placed.items() if sku not in known or each.name not in (None, groups[each.code].name)}
    if not regrouped and not touched:
        return variants.UNGROUPED
    locked = await variants.lock(conn, regrouped, touched)
    if not touched <= locked.varies_by.keys():
        raise StaleReadError  # another transaction has just deleted one of them
    if found := await bulk_groups.misfits(conn, placed, groups):
        sku, reason = next(iter(found.items()))
        raise Conflict("the row of the SKU {sku} does not fit into its group: {reason}", sku=sku, reason=reason)
    return locked


def _constraint(error: asyncpg.IntegrityConstraintViolationError) -> Exception:
    if error.constraint_name == "products_tax_category_fkey":
        return Conflict("a tax category of the products has been archived meanwhile")
    return error


async def _add(conn: "Conn", batch: Sequence[Incoming], actor: Actor) -> dict[UUID, Incoming]:
    """Create the missing products with their stock; return their rows by id."""
    added = {row["sku"]: row["id"] for row in await conn.fetch(ADD_PRODUCTS)}
    new = {added[row.sku]: row for row in batch if row.sku in added}
    if new:
        await inventory.open_levels(conn, {id_: row.stock or 0 for id_, row in new.items()}, actor, "import")
    return new


async def _update(
    conn: "Conn", created: Collection[UUID], locked: LockedGroups, htmls: Mapping[str, tuple[str, str]], actor: Actor
) -> dict[UUID, str | None]:
    """Write the products that differ, and their stock; return their new slugs by id, None for those that keep theirs.

    Raises StaleReadError if a description in HTML of `htmls`, by SKU, has changed.
    """
    rows = [row for row in await conn.fetch(LOCK_CHANGED) if row["id"] not in created]  # these have no slug yet
    for row in rows:
        for group_id in row["group_ids"] or ():
            locked.require(group_id)
        if row["external"] and (row["uploaded"] or 0) + row["external"] > PICTURES_MAX:
            raise PicturesLimit(row["external"])
        if row["sku"] in htmls and row["description_html"] != htmls[row["sku"]][0]:
            raise StaleReadError  # its text is not the one of `htmls` any more
    wanted = {row["id"]: row["stock"] for row in rows}
    if not wanted:
        return {}
    stock = await inventory.lock(conn, wanted)
    deltas = {id_: units - stock[id_] for id_, units in wanted.items() if units not in (None, stock[id_])}
    if deltas:
        await inventory.adjust(conn, deltas, actor, "import")
    await conn.execute(UPDATE_PRODUCTS, list(wanted))
    return {row["id"]: row["new_slug"] for row in rows}


def _record(place: int, row: Incoming, categories: dict[str, UUID], groups: Groups) -> tuple[object, ...]:
    category_id = None if row.category is None else categories.get(row.category, NO_CATEGORY)
    return (place, row.sku, row.name, name_key(row.name), row.description, row.price_minor, category_id, *row[5:-1], *_place(row, groups))


def _place(row: Incoming, groups: Groups) -> tuple[object, ...]:
    """Return the columns of `incoming` that concern the group; a group that does not exist has the nil UUID."""
    if row.placement is None:
        return (None, None, None, None, None)
    if not row.placement.code:
        return (NO_CATEGORY, "[]", None, "", None)
    known = groups.get(row.placement.code)
    columns = variants.columns(bulk_groups.in_order(row.placement, groups))
    return (known.id if known else NO_CATEGORY, *columns, row.placement.position)


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
