"""Categories of products."""

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import Category
from mercato_server.domain.errors import CategoryInUse, CategoryNotFound, CategoryTaken, EtagMismatch
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.store import audit_log, events, name_keys
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

GET_CATEGORY = "SELECT id, name, created_at, version FROM categories WHERE id = $1"

LIST_CATEGORIES = """
SELECT id, name, created_at, version, name_key
  FROM categories
 WHERE (name_key, id) > ($1::bytea, $2::uuid)
 ORDER BY name_key, id
 LIMIT $3
"""

INSERT_CATEGORY = """
INSERT INTO categories (name, keyed_name, name_key, name_key_rule)
VALUES ($1, $1, $2, $3)
RETURNING id, name, created_at, version
"""

UPDATE_CATEGORY = """
UPDATE categories
   SET name = coalesce($2, name), keyed_name = coalesce($2, keyed_name), name_key = coalesce($4, name_key),
       name_key_rule = CASE WHEN $2 IS NULL THEN name_key_rule ELSE $5 END, version = version + 1
 WHERE id = $1 AND ($3::text[] = '{}' OR to_hex(version) = ANY($3))
RETURNING id, name, created_at, version, old.name AS old_name
"""

FORGET_CATEGORY = "UPDATE products SET category_id = NULL WHERE category_id = $1 AND deleted_at IS NOT NULL"

DELETE_CATEGORY = """
DELETE FROM categories
 WHERE id = $1 AND ($2::text[] = '{}' OR to_hex(version) = ANY($2))
RETURNING id, name, created_at, version
"""

# The release before still compares `keyed_name`, so it is still written and compared.
_OLD_KEY = f"name_key_rule < {RULE_VERSION} OR keyed_name <> name"

HAS_OLD_KEYS = f"SELECT EXISTS (SELECT FROM categories WHERE {_OLD_KEY})"  # noqa: S608 - constants

LOCK_OLD_KEYS = f"""
SELECT id, name
  FROM categories
 WHERE {_OLD_KEY}
 ORDER BY id
 LIMIT $1
   FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

SET_KEYS = """
UPDATE categories
   SET keyed_name = made.name, name_key = made.name_key, name_key_rule = $4
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS made (id, name, name_key)
 WHERE categories.id = made.id
"""

BATCH = 100
"""Categories whose keys are made in one transaction."""
_FIRST = UUID(int=0)


async def get(pool: "Pool", category_id: UUID) -> Category:
    """Return a category; raises CategoryNotFound."""
    row = await pool.fetchrow(GET_CATEGORY, category_id)
    if row is None:
        raise CategoryNotFound(category_id)
    return Category._make(row)


async def categories(pool: "Pool", page: Page) -> tuple[Sequence[Category], Position | None]:
    """Return a page of categories by name, and the position of its last row if more follow."""
    after = page.after or Position(b"", _FIRST)
    rows = await pool.fetch(LIST_CATEGORIES, after.key, after.id, page.size + 1)
    found, last = [Category._make(row[:-1]) for row in rows[: page.size]], rows[page.size - 1] if len(rows) > page.size else None
    return found, Position(last["name_key"], last["id"]) if last else None


@retry_conflicts
async def create(pool: "Pool", name: str, actor: Actor, key: IdempotencyKey | None = None) -> Category | Stored:
    """Create a category; raises CategoryTaken."""
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, name, actor))


async def _create(conn: "Conn", name: str, actor: Actor) -> Category:
    try:
        category = Category._make(await conn.fetchrow(INSERT_CATEGORY, name, name_key(name), RULE_VERSION) or ())
    except asyncpg.UniqueViolationError:
        raise CategoryTaken(name) from None
    await events.append(conn, [Event(EventKind.CATEGORY_CREATED, category.id)])
    await audit_log.append(conn, actor, "category.created", category.id, {}, {"name": name})
    return category


@retry_conflicts
async def update(
    pool: "Pool", category_id: UUID, name: str | None, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> Category | Stored:
    """Change a category; a name of None stays. Raises CategoryNotFound, EtagMismatch or CategoryTaken."""
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, category_id, name, etags, actor))


async def _update(conn: "Conn", category_id: UUID, name: str | None, etags: Collection[str], actor: Actor) -> Category:
    try:
        key = None if name is None else name_key(name)
        row = await conn.fetchrow(UPDATE_CATEGORY, category_id, name, etags, key, RULE_VERSION)
    except asyncpg.UniqueViolationError:
        raise CategoryTaken(name or "") from None
    if row is None:
        raise await _refusal(conn, category_id, etags)
    category = Category._make(row[:-1])
    await events.append(conn, [Event(EventKind.CATEGORY_UPDATED, category_id)])
    await audit_log.append(conn, actor, "category.updated", category_id, {"name": row["old_name"]}, {"name": category.name})
    return category


@retry_conflicts
async def delete(
    pool: "Pool", category_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> Category | Stored:
    """Delete a category and remove it from deleted products.

    Raises CategoryNotFound, EtagMismatch, or CategoryInUse if products on sale belong to it.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _delete(conn, category_id, etags, actor))


async def _delete(conn: "Conn", category_id: UUID, etags: Collection[str], actor: Actor) -> Category:
    await conn.execute(FORGET_CATEGORY, category_id)
    try:
        row = await conn.fetchrow(DELETE_CATEGORY, category_id, etags)
    except asyncpg.ForeignKeyViolationError:
        raise CategoryInUse("products on sale belong to the category; move or delete them first") from None
    if row is None:
        raise await _refusal(conn, category_id, etags)
    category = Category._make(row)
    await events.append(conn, [Event(EventKind.CATEGORY_DELETED, category_id)])
    await audit_log.append(conn, actor, "category.deleted", category_id, {"name": category.name}, {})
    return category


async def _refusal(conn: "Conn", category_id: UUID, etags: Collection[str]) -> CategoryNotFound | EtagMismatch:
    """Return why a write has found no row. The row may be newer here than for the write, and then differs from the etag as well."""
    row = await conn.fetchrow(GET_CATEGORY, category_id)
    return EtagMismatch("category", ", ".join(etags), Category._make(row).etag) if row else CategoryNotFound(category_id)


@retry_conflicts
async def renew_keys(pool: "Pool") -> int:
    """Make the keys of a batch of categories that have none, or one of an older rule; return how many."""
    if not await pool.fetchval(HAS_OLD_KEYS):
        return 0
    async with transaction(pool) as conn:
        rows = await conn.fetch(LOCK_OLD_KEYS, BATCH)
        if rows:
            await name_keys.load()
            names = [row["name"] for row in rows]
            await conn.execute(SET_KEYS, [row["id"] for row in rows], names, [name_key(name) for name in names], RULE_VERSION)
        return len(rows)
