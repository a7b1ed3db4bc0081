"""Products with their stock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import connection, retry_conflicts, transaction
from mercato_server.domain import html_descriptions, product_groups
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import DESCRIPTION_MAX, STOCK_MAX, Product, ProductDraft
from mercato_server.domain.errors import (
    CategoryNotFound,
    MercatoError,
    OutOfStock,
    ProductNotDeleted,
    ProductNotFound,
    Shortage,
    SkuTaken,
    StockChanged,
    StockLimit,
)
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.search_documents import product_words
from mercato_server.domain.slugs import SlugKind
from mercato_server.domain.tax_errors import TaxCategoryArchived
from mercato_server.store import audit_log, events, inventory, name_keys, search_documents, shown_pictures, slugs, tax_categories, variants
from mercato_server.store.events import Event, Snapshot
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.variants import LockedGroups

_GET = """
SELECT id, name, description, description_html,
       price_minor, category_id, sku, level.on_hand AS stock, image_urls, tax_category, needs_delivery,
       weight_grams, group_id, options, pictures, product.version, level.version AS stock_version, created_at, product.updated_at,
       deleted_at, slug,
       (SELECT pg_current_snapshot()::text) AS snapshot
  FROM products AS product
  JOIN stock_levels AS level ON level.product_id = product.id AND level.location_id = 1
 WHERE """

# PostgreSQL keeps the plan for one id. It makes a new plan for each list of ids, which takes longer than to read a product.
GET_PRODUCT = _GET + "product.deleted_at IS NULL AND product.id = $1::uuid"

GET_PRODUCTS = _GET + "product.deleted_at IS NULL AND product.id = ANY($1::uuid[])"

GET_ANY_PRODUCT = _GET + "product.id = $1::uuid"

# Locks the product, then its stock level: while a checkout holds the level, no other transaction changes the product.
LOCK_PRODUCT = f"""
WITH wanted AS MATERIALIZED (
    SELECT id AS product_id, name, description, description_html,
           price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
           group_id, options, pictures, version, created_at, updated_at, deleted_at, slug
      FROM products
     WHERE id = $1
       FOR NO KEY UPDATE  -- FOR UPDATE would block writers of rows that refer to the product
), {inventory.LOCKED}
SELECT product_id AS id, name, description, description_html,
       price_minor, category_id, sku, locked.on_hand AS stock, image_urls, tax_category,
       needs_delivery, weight_grams, group_id, options, pictures, wanted.version, locked.version AS stock_version, created_at,
       wanted.updated_at,
       deleted_at, slug
  FROM wanted
  JOIN locked USING (product_id)
"""  # noqa: S608 - constants

INSERT_PRODUCT = f"""
WITH changed AS (
    INSERT INTO products (name, description, description_html,
                          price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams,
                          name_key, group_id, options, folded_options, options_text, position, is_listed, currency_code)
    VALUES ($1, $2, $22, $3, $4, $5, $7, $8, $9, $10, $11, $17::uuid, $18, $19, $20, $21, $17::uuid IS NULL,
            (SELECT currency_code FROM shop))
    RETURNING id, number, name, name_key, description, description_html,
              price_minor, category_id, sku, image_urls, tax_category, needs_delivery,
              weight_grams, group_id, options, pictures, version, created_at, updated_at, deleted_at, slug, $12::text AS lexemes,
              $13::text AS vocabulary
), spelled AS (
    SELECT word, stem, keys FROM unnest($14::text[], $15::text[], $16::text[]) AS spelled (word, stem, keys)
), {search_documents.DOCUMENTS}
SELECT id, name, description, description_html,
       price_minor, category_id, sku, $6::integer AS stock, image_urls, tax_category, needs_delivery, weight_grams,
       group_id, options, pictures, version, 0::bigint AS stock_version, created_at, updated_at, deleted_at, slug
  FROM changed
"""  # noqa: S608 - constants

UPDATE_PRODUCT = f"""
WITH changed AS (
    UPDATE products AS product
       SET name = $2, description = $3, description_html = $23,
           price_minor = $4, category_id = $5, sku = $6, image_urls = $7, tax_category = $8,
           needs_delivery = $9, weight_grams = $10, deleted_at = CASE WHEN $11 THEN now() END,
           tax_category_live = CASE WHEN NOT $11 THEN true END, name_key = $12,
           group_id = $18::uuid, options = $19, folded_options = $20, options_text = $21, position = coalesce($22, position),
           is_listed = $18::uuid IS NULL OR (is_listed AND NOT $11 AND group_id IS NOT DISTINCT FROM $18::uuid),
           version = product.version + 1, updated_at = now()
      FROM stock_levels AS level
     WHERE product.id = $1 AND level.product_id = product.id AND level.location_id = 1
    RETURNING id, number, name, name_key, description, description_html,
              price_minor, category_id, sku, level.on_hand AS stock, image_urls, tax_category,
              needs_delivery, weight_grams, group_id, options, pictures, product.version, level.version AS stock_version, created_at,
              product.updated_at, deleted_at, slug, $13::text AS lexemes, $14::text AS vocabulary
), spelled AS (
    SELECT word, stem, keys FROM unnest($15::text[], $16::text[], $17::text[]) AS spelled (word, stem, keys)
), {search_documents.DOCUMENTS}
SELECT id, name, description, description_html,
       price_minor, category_id, sku, stock, image_urls, tax_category, needs_delivery, weight_grams, group_id,
       options, pictures, version, stock_version, created_at, updated_at, deleted_at, slug
  FROM changed
"""  # noqa: S608 - constants

_FIRST = UUID(int=0)
_GROUPED = {"price_minor", "group_id", "options"}
"""Fields of a variant whose change concerns its group."""
_NOT_AUDITED = {"id", "version", "stock_version", "created_at", "updated_at"}


async def get(pool: "Pool", product_ids: Collection[UUID]) -> tuple[list[Product], Snapshot | None]:
    """Return the products on sale among the ids, and the snapshot of the read; the snapshot is None if there are no products."""
    async with connection(pool) as conn:
        ids = list(product_ids)
        rows = await (conn.fetch(GET_PRODUCT, ids[0]) if len(ids) == 1 else conn.fetch(GET_PRODUCTS, ids))
    return [Product._make(row[:-1]) for row in rows], Snapshot.parse(rows[0]["snapshot"]) if rows else None


async def get_any(pool: "Pool", product_id: UUID) -> Product:
    """Return a product that is on sale or deleted; raises ProductNotFound."""
    row = await pool.fetchrow(GET_ANY_PRODUCT, product_id)
    if row is None:
        raise ProductNotFound(product_id)
    return Product._make(row[:-1])


@retry_conflicts
async def create(pool: "Pool", draft: ProductDraft, actor: Actor, key: IdempotencyKey | None = None) -> Product | Stored:
    """Create a product with its stock.

    Raises CategoryNotFound, TaxCategoryNotFound, TaxCategoryArchived, SkuTaken or SlugTaken; for a variant as `LockedGroups.options`.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, draft, actor))


async def _create(conn: "Conn", draft: ProductDraft, actor: Actor) -> Product:
    values = (draft.name, draft.description, draft.price_minor, draft.category_id, draft.sku, draft.stock or 0, list(draft.image_urls))
    delivered = (draft.tax_category, draft.needs_delivery, draft.weight_grams)
    words = search_documents.arguments(product_words(draft.name, draft.description, draft.sku))
    groups = await variants.lock(conn, [], [draft.group_id]) if draft.group_id else variants.UNGROUPED
    options = groups.options(None, draft.group_id, draft.options)
    grouped = (draft.group_id, *variants.columns(options), groups.next_position(draft.group_id))
    await tax_categories.require_live(conn, draft.tax_category or "")
    try:
        row = await conn.fetchrow(INSERT_PRODUCT, *values, *delivered, name_key(draft.name), *words, *grouped, draft.description_html)
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _constraint(error, draft) from None
    product = await _named(conn, _product(row), draft.slug)
    await inventory.open_levels(conn, {product.id: product.stock}, actor)
    if draft.pictures:
        product = await shown_pictures.show(conn, product, [(digest, None) for digest in draft.pictures])
    await variants.refresh(conn, groups)
    await events.append(conn, [Event(EventKind.PRODUCT_CREATED, product.id)])
    await audit_log.append(conn, actor, "product.created", product.id, {}, audited(product))
    return product


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to set fields of a product to those of a draft. It fails unless the product has one of the etags; none skips this check."""

    product_id: UUID
    draft: ProductDraft
    fields: Collection[str]
    etags: Collection[str]
    actor: Actor


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> Product | Stored:
    """Change a product on sale; a change of stock is written to the ledger.

    Raises ProductNotFound, EtagMismatch, CategoryNotFound, TaxCategoryNotFound, TaxCategoryArchived, SkuTaken, SlugTaken,
    PictureNotFound or PicturesLimit; for a variant as `LockedGroups.options`.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, change))


async def _update(conn: "Conn", change: Update) -> Product:
    values = {name: getattr(change.draft, name) for name in change.fields}
    if values.get("stock", 0) is None:
        del values["stock"]
    new_group, is_placed = values.get("group_id"), bool(values.keys() & _GROUPED)
    groups = await variants.lock(conn, [change.product_id], [new_group] if new_group else []) if is_placed else variants.UNGROUPED
    current = await _lock(conn, change.product_id)
    current.check_etag(change.etags, with_stock="stock" in values)
    if values.get("description") == "" and "description_html" not in values and current.description_html:
        values["description"] = html_descriptions.shortened(html_descriptions.text_of(current.description_html), DESCRIPTION_MAX)
    wanted = _placed(groups, current, values) if is_placed else current._replace(**values)
    if wanted.tax_category != current.tax_category:
        await tax_categories.require_live(conn, wanted.tax_category or "")
    if wanted.stock != current.stock:
        await inventory.adjust(conn, {current.id: wanted.stock - current.stock}, change.actor, "product updated")
    position = None if wanted.group_id == current.group_id else groups.next_position(wanted.group_id)
    product = await _write(conn, wanted._replace(slug=current.slug), position=position)
    if wanted.slug is not None and wanted.slug != current.slug:
        product = await _named(conn, product, wanted.slug)
    if "image_urls" in values and (change.draft.pictures or product.pictures):
        product = await shown_pictures.show(conn, product, [(digest, None) for digest in change.draft.pictures])
    await variants.refresh(conn, groups)
    await events.append(conn, [Event(EventKind.PRODUCT_UPDATED, product.id)])
    await audit_log.append(conn, change.actor, "product.updated", product.id, audited(current), audited(product))
    return product


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturesChange:
    """A command to show pictures with their texts, and no others. It fails unless the product has one of the etags; none skips this."""

    product_id: UUID
    pictures: Sequence[tuple[bytes, str]]
    etags: Collection[str]
    actor: Actor


@retry_conflicts
async def set_pictures(pool: "Pool", change: PicturesChange, key: IdempotencyKey | None = None) -> Product | Stored:
    """Show pictures with a product on sale; raises ProductNotFound, EtagMismatch, PictureNotFound or PicturesLimit."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _set_pictures(conn, change))


async def _set_pictures(conn: "Conn", change: PicturesChange) -> Product:
    current = await _lock(conn, change.product_id)
    current.check_etag(change.etags, with_stock=False)
    product = await shown_pictures.show(conn, current, change.pictures)
    await events.append(conn, [Event(EventKind.PRODUCT_UPDATED, product.id)])
    await audit_log.append(conn, change.actor, "product.pictures_changed", product.id, audited(current), audited(product))
    return product


@retry_conflicts
async def delete(
    pool: "Pool", product_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> Product | Stored:
    """Take a product off sale; raises ProductNotFound or EtagMismatch."""
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _delete(conn, product_id, etags, actor))


async def _delete(conn: "Conn", product_id: UUID, etags: Collection[str], actor: Actor) -> Product:
    groups = await variants.lock(conn, [product_id])
    current = await _lock(conn, product_id)
    groups.require(current.group_id)
    current.check_etag(etags, with_stock=False)
    product = await _write(conn, current, deleted=True)
    await variants.refresh(conn, groups)
    await events.append(conn, [Event(EventKind.PRODUCT_DELETED, product_id)])
    await audit_log.append(conn, actor, "product.deleted", product_id, audited(current), audited(product))
    return product


@retry_conflicts
async def undelete(pool: "Pool", product_id: UUID, actor: Actor, key: IdempotencyKey | None = None) -> Product | Stored:
    """Put a deleted product back on sale.

    Raises ProductNotFound, ProductNotDeleted, TaxCategoryArchived or SkuTaken; for a variant also OptionsTaken, OptionsOutdated or
    GroupFull.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _undelete(conn, product_id, actor))


async def _undelete(conn: "Conn", product_id: UUID, actor: Actor) -> Product:
    groups = await variants.lock(conn, [product_id])
    current = await _lock(conn, product_id, deleted=True)
    if current.deleted_at is None:
        raise ProductNotDeleted("the product is already on sale")
    groups.require(current.group_id)
    product = await _write(conn, current._replace(options=groups.restored(current)))
    if product.slug is None:
        product = await _named(conn, product, None)
    await variants.refresh(conn, groups)
    await events.append(conn, [Event(EventKind.PRODUCT_UNDELETED, product_id)])
    await audit_log.append(conn, actor, "product.undeleted", product_id, audited(current), audited(product))
    return product


@dataclass(frozen=True, slots=True, kw_only=True)
class StockChange:
    """A command to change stock by `delta`, or to set it to `stock`. It fails unless the stock is `expected`; None skips this check."""

    product_id: UUID
    actor: Actor
    reason: str
    delta: int = 0
    stock: int | None = None
    expected: int | None = None


@retry_conflicts
async def adjust_stock(pool: "Pool", change: StockChange, key: IdempotencyKey | None = None) -> Product | Stored:
    """Change the stock of a product and write the ledger; raises ProductNotFound, OutOfStock, StockLimit or StockChanged."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _adjust(conn, change))


async def _adjust(conn: "Conn", change: StockChange) -> Product:
    current = await _lock(conn, change.product_id)
    if change.expected is not None and change.expected != current.stock:
        raise StockChanged("the stock is {stock}, not {expected_stock}; read it again", expected_stock=change.expected, stock=current.stock)
    stock = current.stock + change.delta if change.stock is None else change.stock
    return await _set_stock(conn, current, stock, change.reason, change.actor)


async def _set_stock(conn: "Conn", current: Product, stock: int, reason: str, actor: Actor) -> Product:
    if stock < 0:
        raise OutOfStock([Shortage(current.id, current.name, current.stock - stock, current.stock)])
    if stock > max(STOCK_MAX, current.stock):  # cancelled orders may have raised it above the limit; it may decrease from there
        raise StockLimit(f"a product has at most {STOCK_MAX} units", stock=current.stock)
    await inventory.adjust(conn, {current.id: stock - current.stock}, actor, reason)
    product = current._replace(stock=stock, stock_version=current.stock_version + 1)
    await events.append(conn, [Event(EventKind.STOCK_CHANGED, current.id, {"stock": stock})])
    await audit_log.append(conn, actor, "stock.changed", current.id, audited(current), audited(product))
    return product


def _placed(groups: LockedGroups, current: Product, values: Mapping[str, Any]) -> Product:
    """Return a product with new values of its fields, as a variant of its group; one that leaves its group has no options."""
    groups.require(current.group_id)
    group_id = values.get("group_id", current.group_id)
    options = values.get("options", product_groups.parse(current.options) if group_id else ())
    return current._replace(**{**values, "options": product_groups.dump(groups.options(current.id, group_id, options))})


async def _named(conn: "Conn", product: Product, slug: str | None) -> Product:
    """Return a product with a slug that it gets: the given one, or one of its name. Raises SlugTaken."""
    given = await slugs.assign(conn, SlugKind.PRODUCT, [slugs.Named(product.id, product.name, slug)])
    return product._replace(slug=given.get(product.id))


async def _lock(conn: "Conn", product_id: UUID, *, deleted: bool = False) -> Product:
    row = await conn.fetchrow(LOCK_PRODUCT, product_id)
    if row is None or (row["deleted_at"] is not None and not deleted):
        raise ProductNotFound(product_id)
    return _product(row)


async def _write(conn: "Conn", wanted: Product, *, deleted: bool = False, position: int | None = None) -> Product:
    """Write a locked product and its search document, but not its stock, which only the inventory writes; a position of None stays."""
    try:
        return _product(
            await conn.fetchrow(
                UPDATE_PRODUCT,
                wanted.id,
                wanted.name,
                wanted.description,
                wanted.price_minor,
                wanted.category_id,
                wanted.sku,
                list(wanted.image_urls),
                wanted.tax_category,
                wanted.needs_delivery,
                wanted.weight_grams,
                deleted,
                name_key(wanted.name),
                *search_documents.arguments(product_words(wanted.name, wanted.description, wanted.sku)),
                wanted.group_id,
                *variants.columns(product_groups.parse(wanted.options)),
                position,
                wanted.description_html,
            )
        )
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _constraint(error, wanted) from None


def _product(row: asyncpg.Record | None) -> Product:
    return Product._make(row or ())


def audited(product: Product) -> dict[str, object]:
    """Return the fields of a product that the audit log records."""
    options = product_groups.text(product_groups.parse(product.options)) or None
    return {name: value for name, value in product._asdict().items() if name not in _NOT_AUDITED} | {"options": options}


def _constraint(error: asyncpg.IntegrityConstraintViolationError, wanted: Product | ProductDraft) -> MercatoError | Exception:
    match error.constraint_name:
        case "products_category_id_fkey":
            return CategoryNotFound(wanted.category_id or _FIRST)
        case "products_tax_category_fkey":
            return TaxCategoryArchived(wanted.tax_category or "")  # no category is ever deleted
        case "products_sku_key":
            return SkuTaken(wanted.sku or "")
        case _:
            return error
