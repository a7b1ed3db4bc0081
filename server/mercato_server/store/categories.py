"""Categories of products."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import MOVED_PRODUCTS_MAX, Category, CategoryDraft
from mercato_server.domain.category_errors import SlugNotFound
from mercato_server.domain.errors import CategoryInUse, CategoryNotFound, CategoryTaken, EtagMismatch
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import audit_log, category_tree, events, name_keys, slugs
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

GET_CATEGORY = "SELECT id, name, created_at, version, parent_id, slug, position, about, ancestors FROM categories WHERE id = $1"

GET_CATEGORY_BY_SLUG = """
SELECT id, name, created_at, version, parent_id, category.slug, position, about, ancestors
  FROM slugs
  JOIN categories AS category ON id = subject_id
 WHERE kind = 'category' AND slugs.slug = $1
"""

LIST_CATEGORIES = """
SELECT id, name, created_at, version, parent_id, slug, position, about, ancestors, name_key
  FROM categories
 WHERE (name_key, id) > ($1::bytea, $2::uuid)
 ORDER BY name_key, id
 LIMIT $3
"""

# The parent of those at the top is the nil UUID here.
LIST_SUBCATEGORIES = """
SELECT id, name, created_at, version, parent_id, slug, position, about, ancestors, name_key
  FROM categories
 WHERE coalesce(parent_id, '00000000-0000-0000-0000-000000000000') = $4::uuid
   AND (position, name_key, id) > ($5::integer, $1::bytea, $2::uuid)
 ORDER BY position, name_key, id
 LIMIT $3
"""

INSERT_CATEGORY = """
INSERT INTO categories (name, keyed_name, name_key, name_key_rule, parent_id, ancestors, position, about)
VALUES ($1, $1, $2, $3, $4, $5, $6, $7)
RETURNING id, name, created_at, version, parent_id, slug, position, about, ancestors
"""

LOCK_CATEGORY = f"{category_tree.AS_WRITER}{GET_CATEGORY} FOR NO KEY UPDATE"

LOCK_LEAVING = GET_CATEGORY + " FOR UPDATE"

UPDATE_CATEGORY = """
UPDATE categories
   SET name = $2, keyed_name = $2, name_key = $3, name_key_rule = $4, position = $5, about = $6, version = version + 1
 WHERE id = $1
RETURNING id, name, created_at, version, parent_id, slug, position, about, ancestors
"""

COUNT_USES = """
SELECT (SELECT count(*) FROM (SELECT FROM products WHERE category_id = $1 AND deleted_at IS NULL LIMIT $2) AS product) AS products,
       (SELECT count(*) FROM categories WHERE coalesce(parent_id, '00000000-0000-0000-0000-000000000000') = $1) AS subcategories
"""

FORGET_CATEGORY = "UPDATE products SET category_id = NULL WHERE category_id = $1 AND deleted_at IS NOT NULL"

DELETE_CATEGORY = "DELETE FROM categories WHERE id = $1"

# The release before still compares `keyed_name`, so it is still written and compared.
_OLD_KEY = f"name_key_rule < {RULE_VERSION} OR keyed_name <> name"

HAS_OLD_KEYS = f"SELECT EXISTS (SELECT FROM categories WHERE {_OLD_KEY})"  # noqa: S608 - constants

LOCK_OLD_KEYS = f"""
{category_tree.AS_WRITER}
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
USES_MAX = 10_000
"""Products of a category that a refusal to delete it counts."""
_AUDITED = ("name", "parent_id", "slug", "position", "description")
_TOP = UUID(int=0)
_POSITION_BYTES = 4


async def get(pool: "Pool", category_id: UUID) -> Category:
    """Return a category; raises CategoryNotFound."""
    row = await pool.fetchrow(GET_CATEGORY, category_id)
    if row is None:
        raise CategoryNotFound(category_id)
    return Category._make(row)


async def by_slug(pool: "Pool", slug: str) -> Category:
    """Return the category that has a slug, or had it last; raises SlugNotFound."""
    row = await pool.fetchrow(GET_CATEGORY_BY_SLUG, slug)
    if row is None:
        raise SlugNotFound(SlugKind.CATEGORY, slug)
    return Category._make(row)


async def categories(pool: "Pool", page: Page) -> tuple[Sequence[Category], Position | None]:
    """Return a page of categories by name, and the position of its last row if more follow."""
    after = page.after or Position(b"", _FIRST)
    rows = await pool.fetch(LIST_CATEGORIES, after.key, after.id, page.size + 1)
    found, last = [Category._make(row[:-1]) for row in rows[: page.size]], rows[page.size - 1] if len(rows) > page.size else None
    return found, Position(last["name_key"], last["id"]) if last else None


async def subcategories(pool: "Pool", parent_id: UUID | None, page: Page) -> tuple[Sequence[Category], Position | None]:
    """Return a page of the categories directly below one, or of those at the top, by position, then by name.

    The key of a page token is the position in four bytes, then the name key.
    """
    after = page.after or Position(bytes(_POSITION_BYTES), _FIRST)
    key = after.key if isinstance(after.key, bytes) else b""
    place = int.from_bytes(key[:_POSITION_BYTES])
    rows = await pool.fetch(LIST_SUBCATEGORIES, key[_POSITION_BYTES:], after.id, page.size + 1, parent_id or _TOP, place)
    found, last = [Category._make(row[:-1]) for row in rows[: page.size]], rows[page.size - 1] if len(rows) > page.size else None
    return found, Position(last["position"].to_bytes(_POSITION_BYTES) + last["name_key"], last["id"]) if last else None


@retry_conflicts
async def create(pool: "Pool", draft: CategoryDraft, actor: Actor, key: IdempotencyKey | None = None) -> Category | Stored:
    """Create a category; raises CategoryTaken, SlugTaken, CategoryNotFound (of the parent) or CategoryLimit."""
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: create_in(conn, draft, actor))


async def create_in(conn: "Conn", draft: CategoryDraft, actor: Actor) -> Category:
    """Create a category in the caller's transaction, as `create` does."""
    if draft.parent_id is not None:
        await category_tree.lock(conn)
    ancestors = await category_tree.place_below(conn, draft.parent_id)
    values = (draft.name, name_key(draft.name), RULE_VERSION, draft.parent_id, ancestors, draft.position, draft.description)
    try:
        category = Category._make(await conn.fetchrow(INSERT_CATEGORY, *values) or ())
    except asyncpg.UniqueViolationError:
        raise CategoryTaken(draft.name) from None
    category = await _named(conn, category, draft.slug)
    await events.append(conn, [Event(EventKind.CATEGORY_CREATED, category.id)])
    await audit_log.append(conn, actor, "category.created", category.id, {}, _fields(category))
    return category


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to set fields of a category to those of a draft.

    It fails unless the category has one of the etags; none skips this check.
    """

    category_id: UUID
    draft: CategoryDraft
    fields: Collection[str]
    etags: Collection[str] = ()
    actor: Actor
    moved_max: int = MOVED_PRODUCTS_MAX
    """Products on sale that the change may move."""


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> Category | Stored:
    """Change a category.

    Raises CategoryNotFound (of the parent, too), EtagMismatch, CategoryTaken, SlugTaken, CategoryCycle or CategoryLimit.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: update_in(conn, change))


async def update_in(conn: "Conn", change: Update) -> Category:
    """Change a category in the caller's transaction, as `update` does."""
    if "parent_id" in change.fields:
        await category_tree.lock(conn)
    current = await _lock(conn, LOCK_CATEGORY, change.category_id, change.etags)
    wanted = current._replace(**{name: getattr(change.draft, name) for name in change.fields})
    if is_moved := wanted.parent_id != current.parent_id:
        await category_tree.move(conn, current.id, wanted.parent_id, change.moved_max)
    values = (wanted.name, name_key(wanted.name), RULE_VERSION, wanted.position, wanted.description)
    try:
        category = Category._make(await conn.fetchrow(UPDATE_CATEGORY, current.id, *values) or ())
    except asyncpg.UniqueViolationError:
        raise CategoryTaken(wanted.name) from None
    if wanted.slug not in (None, current.slug):
        category = await _named(conn, category, wanted.slug)
    moved = [Event(EventKind.CATEGORY_MOVED, category.id)] if is_moved else []
    await events.append(conn, [Event(EventKind.CATEGORY_UPDATED, category.id), *moved])
    await audit_log.append(conn, change.actor, "category.updated", category.id, _fields(current), _fields(category))
    return category


@retry_conflicts
async def delete(
    pool: "Pool", category_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> Category | Stored:
    """Delete a category and remove it from deleted products.

    Raises CategoryNotFound, EtagMismatch, or CategoryInUse if products on sale or subcategories belong to it.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _delete(conn, category_id, etags, actor))


async def _delete(conn: "Conn", category_id: UUID, etags: Collection[str], actor: Actor) -> Category:
    await category_tree.lock(conn)
    category = await _lock(conn, LOCK_LEAVING, category_id, etags)
    uses = await conn.fetchrow(COUNT_USES, category_id, USES_MAX)
    if uses and any(uses):
        raise CategoryInUse(*uses)
    await conn.execute(FORGET_CATEGORY, category_id)
    await conn.execute(DELETE_CATEGORY, category_id)
    await events.append(conn, [Event(EventKind.CATEGORY_DELETED, category_id)])
    await audit_log.append(conn, actor, "category.deleted", category_id, _fields(category), {})
    return category


async def _named(conn: "Conn", category: Category, slug: str | None) -> Category:
    """Return a category with a slug that it gets: the given one, or one of its name. Raises SlugTaken."""
    given = await slugs.assign(conn, SlugKind.CATEGORY, [slugs.Named(category.id, category.name, slug)])
    return category._replace(slug=given.get(category.id))


async def _lock(conn: "Conn", statement: str, category_id: UUID, etags: Collection[str]) -> Category:
    row = await conn.fetchrow(statement, category_id)
    if row is None:
        raise CategoryNotFound(category_id)
    category = Category._make(row)
    if etags and category.etag not in etags:
        raise EtagMismatch("category", ", ".join(etags), category.etag)
    return category


def _fields(category: Category) -> dict[str, object]:
    """Return the fields of a category that the audit log records: those that are not empty."""
    return {name: value for name in _AUDITED if (value := getattr(category, name)) not in (None, "", 0)}


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
