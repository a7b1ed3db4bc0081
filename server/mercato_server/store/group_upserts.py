"""Upserts: a group and its variants, written together or not at all, by a constant number of statements.

SKUs, options and slugs may be swapped within an upsert. Unique indexes check row by row, so the products first give up what they are to
lose, and take the new values in a second statement.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import StaleReadError, retry_conflicts, transaction
from mercato_server.domain import group_upserts
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import Product, ProductDraft
from mercato_server.domain.errors import require_etag
from mercato_server.domain.events import EventKind
from mercato_server.domain.group_errors import GroupCodeTaken, GroupNotFound
from mercato_server.domain.group_upserts import Creation, Placed, Plan, Rules, Taken, VariantDraft
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.product_groups import GroupDraft, Options, ProductGroup, WholeGroup, parse, text
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import (
    audit_log,
    catalog,
    events,
    inventory,
    name_keys,
    product_groups,
    search_documents,
    shown_pictures,
    slugs,
    variants,
)
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.variants import LockedGroups

FIND_GROUP = "SELECT id FROM product_groups WHERE code = $1"

# The group must be locked. A named product may have left the shop or entered another group while this waited; the caller looks at the row.
LOCK_PRODUCTS = f"""
WITH wanted AS MATERIALIZED (
    SELECT id AS product_id, name, description, description_html,
           price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
           group_id, options, pictures, version, created_at, updated_at, deleted_at, slug, position
      FROM products
     WHERE id = ANY($2::uuid[] || ARRAY(SELECT id FROM products WHERE group_id = $1 AND deleted_at IS NULL))
     ORDER BY id  -- one lock order for all writers
       FOR NO KEY UPDATE
), {inventory.LOCKED}
SELECT product_id AS id, name, description, description_html,
       price_minor, category_id, sku, locked.on_hand AS stock, image_urls, tax_category,
       needs_delivery, weight_grams, group_id, options, pictures, wanted.version, locked.version AS stock_version, created_at,
       wanted.updated_at,
       deleted_at, slug, position
  FROM wanted
  JOIN locked USING (product_id)
 WHERE deleted_at IS NULL
 ORDER BY position, product_id
"""  # noqa: S608 - constants

GET_SKUS = "SELECT sku, id FROM products WHERE sku = ANY($1::text[]) AND deleted_at IS NULL"

GET_SLUGS = "SELECT slug, id FROM products WHERE slug = ANY($1::text[]) AND deleted_at IS NULL"

LOCK_CATEGORIES = "SELECT id FROM categories WHERE id = ANY($1::uuid[]) ORDER BY id FOR KEY SHARE"

GET_TAX_CATEGORIES = "SELECT id FROM tax_categories WHERE id = ANY($1::text[]) AND archived_at IS NULL"

DELETE_PRODUCTS = """
UPDATE products
   SET deleted_at = now(), is_listed = false, tax_category_live = NULL, version = version + 1, updated_at = now()
 WHERE id = ANY($1::uuid[])
RETURNING deleted_at
"""

CLEAR_PRODUCTS = "UPDATE products SET sku = NULL, folded_options = NULL WHERE id = ANY($1::uuid[])"

# The ids are made in the order of the variants: a list by creation has them in this order.
INSERT_PRODUCTS = """
WITH given AS MATERIALIZED (
    SELECT uuidv7() AS id, place, name, description, description_html,
           price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
           name_key, options, folded_options, options_text, position
      FROM (SELECT place, name, description, description_html,
                   price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
                   name_key, options, folded_options, options_text, position
              FROM jsonb_to_recordset($2::jsonb)
                   AS row (place integer, name text, description text, description_html text,
                           price_minor bigint, category_id uuid, sku text, image_urls text[],
                           tax_category text, needs_delivery boolean, weight_grams integer, name_key text, options jsonb,
                           folded_options jsonb, options_text text, position integer)
             ORDER BY place) AS row
), added AS (
    INSERT INTO products (id, name, description, description_html,
                          price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
                          name_key, group_id, options, folded_options, options_text, position, is_listed, currency_code)
    SELECT id, name, description, description_html,
           price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
           decode(name_key, 'hex'), $1, options, folded_options, options_text, position, false, (SELECT currency_code FROM shop)
      FROM given
     ORDER BY place
)
SELECT id FROM given ORDER BY place
"""

UPDATE_PRODUCTS = """
UPDATE products
   SET name = row.name, description = row.description, description_html = row.description_html,
       price_minor = row.price_minor, category_id = row.category_id, sku = row.sku,
       image_urls = row.image_urls, tax_category = row.tax_category, needs_delivery = row.needs_delivery, weight_grams = row.weight_grams,
       name_key = decode(row.name_key, 'hex'), group_id = $1, options = row.options, folded_options = row.folded_options,
       options_text = row.options_text, position = row.position, is_listed = coalesce(is_listed AND group_id = $1, false),
       version = version + 1, updated_at = now()
  FROM jsonb_to_recordset($2::jsonb)
       AS row (id uuid, name text, description text, description_html text,
               price_minor bigint, category_id uuid, sku text, image_urls text[], tax_category text,
               needs_delivery boolean, weight_grams integer, name_key text, options jsonb, folded_options jsonb, options_text text,
               position integer)
 WHERE products.id = ANY($3::uuid[]) AND products.id = row.id
"""

MOVE_PRODUCTS = """
UPDATE products
   SET position = moved.position
  FROM unnest($1::uuid[], $2::integer[]) AS moved (id, position)
 WHERE products.id = ANY($1::uuid[]) AND products.id = moved.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """A command to create or change a group and its variants.

    Without a group id it is the group with the code of the draft, or a new one. It fails unless the group has one of the etags.
    """

    group_id: UUID | None
    draft: GroupDraft
    variants: Sequence[VariantDraft]
    rules: Rules
    etags: Collection[str]
    actor: Actor


class _Written(NamedTuple):
    """The ids of the products that an upsert has created, in their order, and the time at which it has deleted others."""

    created: Sequence[UUID]
    deleted_at: datetime | None


class _Made(NamedTuple):
    """The slugs that an upsert has set, and the pictures that products show since, as they are stored; both by product."""

    slugs: Mapping[UUID, str]
    pictures: Mapping[UUID, str | None]


@retry_conflicts
async def upsert(pool: "Pool", wanted: Upsert, key: IdempotencyKey | None = None) -> WholeGroup | Stored:
    """Write a group and its variants, all of them or nothing. Variants that do not differ are not written.

    Raises GroupNotFound, GroupCodeTaken, SlugTaken, EtagMismatch, GroupFull, or InvalidRequest with every bad variant.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _upsert(conn, wanted))


async def _upsert(conn: "Conn", wanted: Upsert) -> WholeGroup:
    group = await _group(conn, wanted)
    named = [variant.product_id for variant in wanted.variants if variant.product_id]
    rows = await conn.fetch(LOCK_PRODUCTS, group.id, named)
    stored = [Placed(Product._make(row[:-1]), row["position"]) for row in rows]
    plan = group_upserts.plan((group.id, group.varies_by), stored, wanted.variants, await _taken(conn, wanted.variants), wanted.rules)
    written = await _write(conn, group.id, plan)
    await _stock(conn, plan, written.created, wanted.actor)
    made = _Made({}, {})
    touched = [*written.created, *(change.after.id for change in plan.changed), *(product.id for product in plan.deleted)]
    if touched:
        await search_documents.index(conn, touched)
        made = _Made(await _name(conn, plan, written.created), await _show(conn, plan, written.created))
    if touched or plan.moved:
        await variants.refresh(conn, LockedGroups({group.id: group.varies_by}))
    await _tell(conn, group.id, plan, written, made, wanted.actor)
    return await product_groups.read(conn, group.id)


async def _group(conn: "Conn", wanted: Upsert) -> ProductGroup:
    """Lock the group, or create it, and write its fields; return it as it is then."""
    group_id = wanted.group_id or (await conn.fetchval(FIND_GROUP, wanted.draft.code) if wanted.draft.code else None)
    try:
        if group_id is None:
            require_etag("product group", wanted.etags, "")
            group_id = await product_groups.insert(conn, wanted.draft, wanted.actor)
            return await product_groups.lock(conn, group_id)
        current = await product_groups.lock(conn, group_id)
    except (GroupCodeTaken, GroupNotFound):
        if wanted.group_id:
            raise
        raise StaleReadError from None  # another transaction has just created or deleted the group of this code
    require_etag("product group", wanted.etags, current.etag)
    draft = wanted.draft
    group = current._replace(
        name=draft.name, code=draft.code or current.code, varies_by=list(draft.varies_by), slug=draft.slug or current.slug
    )
    if group != current:
        await product_groups.write(conn, current, group, wanted.actor)
    return group


async def _taken(conn: "Conn", given: Sequence[VariantDraft]) -> Taken:
    drafts = [variant.draft for variant in given]
    skus = await conn.fetch(GET_SKUS, [draft.sku for draft in drafts if draft.sku])
    named = await conn.fetch(GET_SLUGS, [draft.slug for draft in drafts if draft.slug])
    categories = await conn.fetch(LOCK_CATEGORIES, [draft.category_id for draft in drafts if draft.category_id])
    taxes = await conn.fetch(GET_TAX_CATEGORIES, [draft.tax_category for draft in drafts if draft.tax_category])
    by_sku, by_slug = {row["sku"]: row["id"] for row in skus}, {row["slug"]: row["id"] for row in named}
    return Taken(by_sku, by_slug, {row["id"] for row in categories}, {row["id"] for row in taxes})


async def _write(conn: "Conn", group_id: UUID, plan: Plan) -> _Written:
    """Write the products, but not what follows from them. Raises StaleReadError if another transaction was faster with an SKU."""
    deleted_at, created = None, []
    try:
        if plan.deleted:
            deleted_at = await conn.fetchval(DELETE_PRODUCTS, [product.id for product in plan.deleted])
        if plan.changed:
            await _update(conn, group_id, plan)
        if plan.moved:
            await conn.execute(MOVE_PRODUCTS, [id_ for id_, _ in plan.moved], [position for _, position in plan.moved])
        if plan.created:
            rows = [{"place": place, **_row(each.draft, each.options, each.position)} for place, each in enumerate(plan.created)]
            created = [row["id"] for row in await conn.fetch(INSERT_PRODUCTS, group_id, json.dumps(rows))]
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError):  # the next run finds it, and names the variant
        raise StaleReadError from None
    return _Written(created, deleted_at)


async def _update(conn: "Conn", group_id: UUID, plan: Plan) -> None:
    given_up = [each.after.id for each in plan.changed if (each.before.sku, each.before.options) != (each.after.sku, each.after.options)]
    if given_up:
        await conn.execute(CLEAR_PRODUCTS, given_up)
    rows = [{"id": str(each.after.id), **_row(each.after, parse(each.after.options), each.position)} for each in plan.changed]
    await conn.execute(UPDATE_PRODUCTS, group_id, json.dumps(rows), [each.after.id for each in plan.changed])


def _row(product: Product | ProductDraft, options: Options, position: int) -> dict[str, object]:
    """Return the columns of a product as JSON has them; the key of its name is hexadecimal."""
    stored, folded, shown = variants.columns(options)
    return {
        "name": product.name,
        "description": product.description,
        "description_html": product.description_html,
        "price_minor": product.price_minor,
        "category_id": product.category_id and str(product.category_id),
        "sku": product.sku,
        "image_urls": list(product.image_urls),
        "tax_category": product.tax_category,
        "needs_delivery": product.needs_delivery,
        "weight_grams": product.weight_grams,
        "name_key": name_key(product.name).hex(),
        "options": json.loads(stored),
        "folded_options": json.loads(folded or "null"),
        "options_text": shown,
        "position": position,
    }


async def _name(conn: "Conn", plan: Plan, created: Sequence[UUID]) -> Mapping[UUID, str]:
    """Write the slugs of the call, and give the other new products slugs of their names; return all of these. Raises SlugTaken."""
    changed = [each.after for each in plan.changed if each.after.slug and each.after.slug != each.before.slug]
    things = [slugs.Named(product.id, product.name, product.slug) for product in changed]
    new = zip(created, plan.created, strict=True)
    return await slugs.assign(conn, SlugKind.PRODUCT, [*things, *(slugs.Named(id_, each.draft.name, each.draft.slug) for id_, each in new)])


async def _stock(conn: "Conn", plan: Plan, created: Sequence[UUID], actor: Actor) -> None:
    if created:
        stock = {id_: each.draft.stock or 0 for id_, each in zip(created, plan.created, strict=True)}
        await inventory.open_levels(conn, stock, actor)
    deltas = {each.after.id: each.after.stock - each.before.stock for each in plan.changed if each.after.stock != each.before.stock}
    if deltas:
        await inventory.adjust(conn, deltas, actor, "product updated")


async def _show(conn: "Conn", plan: Plan, created: Sequence[UUID]) -> Mapping[UUID, str | None]:
    """Show the pictures of the call; return those of each product that it changes. Raises PictureNotFound."""
    wanted = {each.after.id: (each.before.pictures, each.pictures) for each in plan.changed if each.pictures is not None}
    wanted |= {id_: (None, each.draft.pictures) for id_, each in zip(created, plan.created, strict=True) if each.draft.pictures}
    return await shown_pictures.show_each(conn, wanted) if wanted else {}


async def _tell(conn: "Conn", group_id: UUID, plan: Plan, written: _Written, made: _Made, actor: Actor) -> None:
    """Append the events and the entries of the audit log: those of the same changes by calls for one product each."""
    new = zip(written.created, plan.created, strict=True)
    entries: list[audit_log.Action] = [
        *(("product.created", id_, {}, _created(id_, group_id, each, made)) for id_, each in new),
        *(
            ("product.updated", each.after.id, catalog.audited(each.before), catalog.audited(_shown(each.after, made)))
            for each in plan.changed
        ),
        *(("product.deleted", each.id, {}, {"deleted_at": written.deleted_at}) for each in plan.deleted),
    ]
    happened = [Event(EventKind(action), subject_id) for action, subject_id, *_ in entries]
    if plan.moved:  # no product tells its place
        happened.append(Event(EventKind.PRODUCT_GROUP_UPDATED, group_id))
    if happened:
        await events.append(conn, happened)
    if entries:
        await audit_log.append_all(conn, actor, entries)


def _shown(product: Product, made: _Made) -> Product:
    return product._replace(pictures=made.pictures.get(product.id, product.pictures))


def _created(product_id: UUID, group_id: UUID, made_as: Creation, made: _Made) -> dict[str, object]:
    """Return what the audit log records of a new product: the fields of `catalog.audited`."""
    draft = made_as.draft
    written = {"slug": made.slugs.get(product_id), "pictures": made.pictures.get(product_id)}
    return {**asdict(draft), "stock": draft.stock or 0, "group_id": group_id, "options": text(made_as.options), **written}
