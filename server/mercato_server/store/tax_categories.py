"""Tax categories."""

from collections.abc import Collection, Sequence
from functools import cache
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import require_etag
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.tax_errors import (
    TaxCategoryArchived,
    TaxCategoryInUse,
    TaxCategoryLimit,
    TaxCategoryNotFound,
    TaxCategoryTaken,
)
from mercato_server.domain.tax_rates import CATEGORIES_MAX, TaxCategory
from mercato_server.store import audit_log, price_rules
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

GET_CATEGORY = "SELECT id, display_name, version, created_at, updated_at, archived_at FROM tax_categories WHERE id = $1"

COUNT_CATEGORIES = "SELECT count(*) FROM tax_categories WHERE archived_at IS NULL"

PUT_CATEGORY = """
INSERT INTO tax_categories AS stored (id, display_name)
VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE
   SET display_name = excluded.display_name, archived_at = NULL, version = stored.version + 1, updated_at = now()
 WHERE stored.archived_at IS NOT NULL
RETURNING id, display_name, version, created_at, updated_at, archived_at
"""

UPDATE_CATEGORY = """
UPDATE tax_categories
   SET display_name = $2, version = version + 1, updated_at = now()
 WHERE id = $1
RETURNING id, display_name, version, created_at, updated_at, archived_at
"""

IS_CATEGORY_LIVE = "SELECT archived_at IS NULL FROM tax_categories WHERE id = $1"

IS_CATEGORY_USED = """
SELECT EXISTS (SELECT FROM tax_rates WHERE category_ref = $1 AND archived_at IS NULL)
       OR EXISTS (SELECT FROM shipping_methods WHERE category_ref = $1 AND archived_at IS NULL)
"""

ARCHIVE_CATEGORY = """
UPDATE tax_categories
   SET archived_at = now(), version = version + 1, updated_at = now()
 WHERE id = $1
RETURNING id, display_name, version, created_at, updated_at, archived_at
"""

_FIRST = UUID(int=0)


async def get(pool: "Pool", category_id: str) -> TaxCategory:
    """Return a category; raises TaxCategoryNotFound."""
    return _category(await pool.fetchrow(GET_CATEGORY, category_id), category_id)


@cache
def list_sql(*, archived: bool) -> str:
    """Return the statement of a list, with or without archived categories; its parameters are the last id and LIMIT."""
    return f"""
    SELECT id, display_name, version, created_at, updated_at, archived_at
      FROM tax_categories
     WHERE id > $1{"" if archived else " AND archived_at IS NULL"}
     ORDER BY id
     LIMIT $2
    """  # noqa: S608 - constants


async def categories(pool: "Pool", page: Page, *, archived: bool) -> tuple[Sequence[TaxCategory], Position | None]:
    """Return a page of categories by id, and the position of its last row if more follow."""
    rows = await pool.fetch(list_sql(archived=archived), page.after.key if page.after else "", page.size + 1)
    found = [TaxCategory._make(row) for row in rows[: page.size]]
    return found, Position(found[-1].id, _FIRST) if len(rows) > page.size else None


@retry_conflicts
async def create(
    pool: "Pool", category_id: str, display_name: str, actor: Actor, key: IdempotencyKey | None = None
) -> TaxCategory | Stored:
    """Create a category, or bring an archived one back; raises TaxCategoryTaken or TaxCategoryLimit."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: insert(conn, category_id, display_name, actor))


async def insert(conn: "Conn", category_id: str, display_name: str, actor: Actor) -> TaxCategory:
    """Create a category as `create` does, in the caller's transaction."""
    await price_rules.lock(conn)
    live = await conn.fetchval(COUNT_CATEGORIES)
    row = await conn.fetchrow(PUT_CATEGORY, category_id, display_name)
    if row is None:
        raise TaxCategoryTaken(category_id)
    if live >= CATEGORIES_MAX:
        raise TaxCategoryLimit(CATEGORIES_MAX)
    category = TaxCategory._make(row)
    await audit_log.append(conn, actor, "tax_category.created", None, {}, _fields(category))
    return category


@retry_conflicts
async def update(
    pool: "Pool", category_id: str, display_name: str | None, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> TaxCategory | Stored:
    """Change a category; a name of None stays. Raises TaxCategoryNotFound, EtagMismatch or TaxCategoryArchived."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, category_id, display_name, etags, actor))


async def _update(conn: "Conn", category_id: str, display_name: str | None, etags: Collection[str], actor: Actor) -> TaxCategory:
    await price_rules.lock(conn)
    current = _category(await conn.fetchrow(GET_CATEGORY, category_id), category_id)
    require_etag("tax category", etags, current.etag)
    if current.archived_at:
        raise TaxCategoryArchived(category_id)
    wanted = current.display_name if display_name is None else display_name
    category = _category(await conn.fetchrow(UPDATE_CATEGORY, category_id, wanted), category_id)
    await audit_log.append(conn, actor, "tax_category.updated", None, _fields(current), _fields(category))
    return category


@retry_conflicts
async def archive(pool: "Pool", category_id: str, actor: Actor, key: IdempotencyKey | None = None) -> TaxCategory | Stored:
    """Archive a category; an archived one stays as it is.

    Raises TaxCategoryNotFound, or TaxCategoryInUse if live rates, live methods or products on sale have it.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _archive(conn, category_id, actor))


async def _archive(conn: "Conn", category_id: str, actor: Actor) -> TaxCategory:
    await price_rules.lock(conn)
    current = _category(await conn.fetchrow(GET_CATEGORY, category_id), category_id)
    if current.archived_at:
        await audit_log.append(conn, actor, "tax_category.archived", None, {}, {})
        return current
    if await conn.fetchval(IS_CATEGORY_USED, category_id):
        raise TaxCategoryInUse(category_id)
    try:
        category = _category(await conn.fetchrow(ARCHIVE_CATEGORY, category_id), category_id)
    except asyncpg.ForeignKeyViolationError:  # a product on sale; changes of products do not take turns with this one
        raise TaxCategoryInUse(category_id) from None
    await audit_log.append(conn, actor, "tax_category.archived", None, _since(current), _since(category))
    return category


async def require_live(conn: "Conn", category_id: str) -> None:
    """Raise TaxCategoryNotFound or TaxCategoryArchived if nothing new can have a category; an empty id stands for none."""
    if not category_id:
        return
    is_live = await conn.fetchval(IS_CATEGORY_LIVE, category_id)
    if not is_live:
        raise TaxCategoryNotFound(category_id) if is_live is None else TaxCategoryArchived(category_id)


def _category(row: asyncpg.Record | None, category_id: str) -> TaxCategory:
    if row is None:
        raise TaxCategoryNotFound(category_id)
    return TaxCategory._make(row)


def _fields(category: TaxCategory) -> dict[str, object]:
    """Return what the audit log records of a category, whose id is no UUID."""
    return {category.id: {"display_name": category.display_name}}


def _since(category: TaxCategory) -> dict[str, object]:
    return {category.id: {"archived_at": category.archived_at}}
