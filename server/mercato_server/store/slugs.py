"""The slugs of categories, products and groups: given, set, kept and resolved.

The table `slugs` has each slug once for a kind, with the thing that has it now or had it last. The column `slug` of the thing copies its
live row, so that reads need no join. docs/categories.md has the rules.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.category_errors import SlugNotFound, SlugTaken
from mercato_server.domain.events import EventKind
from mercato_server.domain.slugs import HISTORY_MAX, SlugKind, distinct, needs_table, slug_of
from mercato_server.store import events
from mercato_server.store.category_tree import AS_WRITER
from mercato_server.store.events import Event

# One order for all writers, so that two writers of the same slugs cannot deadlock. A slug that another thing has or had stays there.
_TAKEN = """
WITH taken AS (
    INSERT INTO slugs (kind, slug, subject_id)
    SELECT $1::text, slug, id
      FROM unnest($2::uuid[], $3::text[]) AS wanted (id, slug)
     ORDER BY slug COLLATE "C"
        ON CONFLICT DO NOTHING
    RETURNING subject_id, slug
)"""

GIVE_TO_CATEGORIES = f"""{_TAKEN}
UPDATE categories SET slug = taken.slug FROM taken WHERE id = subject_id RETURNING id, categories.slug
"""  # noqa: S608 - constants

GIVE_TO_PRODUCTS = f"""{_TAKEN}
UPDATE products SET slug = taken.slug FROM taken WHERE id = subject_id RETURNING id, products.slug
"""  # noqa: S608 - constants

GIVE_TO_GROUPS = f"""{_TAKEN}
UPDATE product_groups SET slug = taken.slug FROM taken WHERE id = subject_id RETURNING id, product_groups.slug
"""  # noqa: S608 - constants

# A deleted product keeps its slug only until another product asks for it. Brought back, it gets a new one.
FREE_SLUGS = """
WITH freed AS (
    UPDATE products
       SET slug = NULL
      FROM slugs
     WHERE kind = 'product' AND slugs.slug = ANY($1::text[]) AND is_live AND id = subject_id AND deleted_at IS NOT NULL
    RETURNING id
)
UPDATE slugs SET is_live = false FROM freed WHERE kind = 'product' AND subject_id = id AND is_live
"""

RETIRE_SLUGS = "UPDATE slugs SET is_live = false WHERE kind = $1 AND subject_id = ANY($2::uuid[]) AND is_live"

# Another thing's earlier slug may be taken; then it leads here.
TAKE_SLUGS = """
INSERT INTO slugs AS held (kind, slug, subject_id)
SELECT $1::text, slug, id
  FROM unnest($2::uuid[], $3::text[]) AS wanted (id, slug)
 ORDER BY slug COLLATE "C"
    ON CONFLICT (kind, slug) DO UPDATE
   SET subject_id = excluded.subject_id, is_live = true, given_at = now()
 WHERE NOT held.is_live
RETURNING slug
"""

SET_CATEGORY_SLUGS = """
UPDATE categories SET slug = wanted.slug FROM unnest($1::uuid[], $2::text[]) AS wanted (id, slug) WHERE categories.id = wanted.id
"""

SET_PRODUCT_SLUGS = """
UPDATE products SET slug = wanted.slug FROM unnest($1::uuid[], $2::text[]) AS wanted (id, slug) WHERE products.id = wanted.id
"""

SET_GROUP_SLUGS = """
UPDATE product_groups SET slug = wanted.slug FROM unnest($1::uuid[], $2::text[]) AS wanted (id, slug) WHERE product_groups.id = wanted.id
"""

FORGET_SLUGS = """
DELETE FROM slugs
 USING (SELECT slug, row_number() OVER (PARTITION BY subject_id ORDER BY given_at DESC, slug) AS age
          FROM slugs
         WHERE kind = $1 AND subject_id = ANY($2::uuid[]) AND NOT is_live) AS earlier
 WHERE kind = $1 AND slugs.slug = earlier.slug AND age > $3
"""

GET_SUBJECT = "SELECT subject_id FROM slugs WHERE kind = $1 AND slug = $2"

HAS_WITHOUT_SLUG = """
SELECT EXISTS (SELECT FROM products WHERE slug IS NULL AND deleted_at IS NULL) OR EXISTS (SELECT FROM categories WHERE slug IS NULL)
       OR EXISTS (SELECT FROM product_groups WHERE slug IS NULL)
"""

LOCK_PRODUCTS_WITHOUT = """
SELECT id, name
  FROM products
 WHERE slug IS NULL AND deleted_at IS NULL
 ORDER BY id
 LIMIT $1
   FOR NO KEY UPDATE SKIP LOCKED
"""

LOCK_CATEGORIES_WITHOUT = f"""
{AS_WRITER}
SELECT id, name FROM categories WHERE slug IS NULL ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

LOCK_GROUPS_WITHOUT = "SELECT id, name FROM product_groups WHERE slug IS NULL ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED"

BATCH = 200
"""Products, categories or groups that get a slug in one transaction of the task."""
_TRIES = 5
"""Draws of a random end. One of a billion is drawn twice; a thing that had such luck five times gets its slug from the task."""
_GIVE = {SlugKind.CATEGORY: GIVE_TO_CATEGORIES, SlugKind.PRODUCT: GIVE_TO_PRODUCTS, SlugKind.GROUP: GIVE_TO_GROUPS}
_SET = {SlugKind.CATEGORY: SET_CATEGORY_SLUGS, SlugKind.PRODUCT: SET_PRODUCT_SLUGS, SlugKind.GROUP: SET_GROUP_SLUGS}


class Named(NamedTuple):
    """A thing that needs a slug: the given one, or None for one of its name."""

    id: UUID
    name: str
    slug: str | None = None


async def made_of(names: Collection[str], kind: SlugKind) -> list[str]:
    """Return the slugs that names would have, made in a thread if they need the table of other scripts, which is read from disk."""
    if needs_table(names):
        return await asyncio.to_thread(lambda: [slug_of(name, kind) for name in names])
    return [slug_of(name, kind) for name in names]


async def assign(conn: "Conn", kind: SlugKind, things: Collection[Named]) -> dict[UUID, str]:
    """Set the given slugs of things, which may hand them to each other, then give the others slugs of their names; return all by id.

    Raises SlugTaken. The caller's transaction must hold the locks of the things.
    """
    given = {each.id: each.slug for each in things if each.slug}
    if given:
        await put(conn, kind, given)
    return {**given, **await give(conn, kind, [each for each in things if not each.slug])}


async def give(conn: "Conn", kind: SlugKind, things: Collection[Named]) -> Mapping[UUID, str]:
    """Give new things slugs of their names; return these by id. A slug that another thing has or had gets a random end.

    The number of statements does not grow with the number of things. The caller's transaction must hold the locks of the things.
    """
    wanted = dict(zip([each.id for each in things], await made_of([each.name for each in things], kind), strict=True))
    given: dict[UUID, str] = {}
    for attempt in range(_TRIES):
        missing = {id_: distinct(slug) if attempt else slug for id_, slug in wanted.items() if id_ not in given}
        if not missing:
            break
        rows = await conn.fetch(_GIVE[kind], kind.value, list(missing), list(missing.values()))
        given |= {row["id"]: row["slug"] for row in rows}
    return given


async def put(conn: "Conn", kind: SlugKind, wanted: Mapping[UUID, str]) -> None:
    """Set the slugs of things, which may exchange theirs. Raises SlugTaken for one that another thing has.

    The earlier slugs of a thing go on to lead to it, the latest HISTORY_MAX of them. The caller's transaction must hold the locks of the
    things. The slugs must differ.
    """
    ids, texts = list(wanted), list(wanted.values())
    if kind is SlugKind.PRODUCT:
        await conn.execute(FREE_SLUGS, texts)
    await conn.execute(RETIRE_SLUGS, kind.value, ids)
    taken = {row["slug"] for row in await conn.fetch(TAKE_SLUGS, kind.value, ids, texts)}
    if refused := [slug for slug in texts if slug not in taken]:
        raise SlugTaken(kind, refused[0])
    await conn.execute(_SET[kind], ids, texts)
    await conn.execute(FORGET_SLUGS, kind.value, ids, HISTORY_MAX)


async def resolve(pool: "Pool", kind: SlugKind, slug: str) -> UUID:
    """Return the id of the thing that has a slug, or had it last; raises SlugNotFound. The thing may be deleted since."""
    found = await pool.fetchval(GET_SUBJECT, kind.value, slug)
    if found is None:
        raise SlugNotFound(kind, slug)
    return UUID(str(found))


@retry_conflicts
async def give_missing(pool: "Pool") -> int:
    """Give a batch of products, categories and groups without a slug theirs; return how many things got one.

    The event tells the caches that products have changed. It changes no version, so an etag that a client has read stays valid.
    """
    if not await pool.fetchval(HAS_WITHOUT_SLUG):
        return 0
    async with transaction(pool) as conn:
        groups = [Named(*row) for row in await conn.fetch(LOCK_GROUPS_WITHOUT, BATCH)]
        named = len(await give(conn, SlugKind.GROUP, groups))
        products = [Named(*row) for row in await conn.fetch(LOCK_PRODUCTS_WITHOUT, BATCH)]
        given = await give(conn, SlugKind.PRODUCT, products)
        await events.append(conn, [Event(EventKind.PRODUCT_UPDATED, id_) for id_ in given])
        categories = [Named(*row) for row in await conn.fetch(LOCK_CATEGORIES_WITHOUT, BATCH)]
        return named + len(given) + len(await give(conn, SlugKind.CATEGORY, categories))
