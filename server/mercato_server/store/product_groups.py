"""Groups of products. store/variants.py renews what they know of their variants, and store/group_upserts.py writes both together."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import connection, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.category_errors import SlugNotFound
from mercato_server.domain.errors import require_etag
from mercato_server.domain.events import EventKind
from mercato_server.domain.group_errors import GroupCodeTaken, GroupInUse, GroupNotFound
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.product_groups import GroupDraft, ProductGroup, Variant, WholeGroup
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import audit_log, events, slugs
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

# Part of a statement: the columns of ProductGroup. An index has the one listed variant of a group.
_GROUP = """wanted.id, wanted.code, wanted.name, wanted.varies_by, wanted.min_price_minor, wanted.max_price_minor, wanted.variants,
       wanted.version, wanted.created_at, wanted.updated_at, wanted.slug,
       (SELECT listed.id
          FROM products AS listed
         WHERE listed.group_id = wanted.id AND listed.deleted_at IS NULL AND listed.is_listed) AS representative_id"""

# One statement, so that the prices of the group are those of its variants. A stock level is looked up for each variant: a plan could join
# all of them.
GET_GROUP = f"""
SELECT {_GROUP},
       variant.id AS variant_id, variant.sku, variant.options, variant.price_minor, level.on_hand AS stock
  FROM product_groups AS wanted
  LEFT JOIN products AS variant ON variant.group_id = wanted.id AND variant.deleted_at IS NULL
  LEFT JOIN LATERAL (SELECT on_hand FROM stock_levels WHERE product_id = variant.id AND location_id = 1 OFFSET 0) AS level ON TRUE
 WHERE wanted.id = $1
 ORDER BY variant.position, variant.id
"""  # noqa: S608 - constants

LOCK_GROUP = f"""
SELECT {_GROUP}
  FROM product_groups AS wanted
 WHERE wanted.id = $1
   FOR NO KEY UPDATE OF wanted
"""  # noqa: S608 - constants

INSERT_GROUP = """
WITH made AS MATERIALIZED (
    SELECT uuidv7() AS id
)
INSERT INTO product_groups (id, code, name, varies_by, currency_code)
SELECT id, coalesce($1, id::text), $2, $3, (SELECT currency_code FROM shop) FROM made
    ON CONFLICT (code) DO NOTHING
RETURNING id
"""

UPDATE_GROUP = """
UPDATE product_groups
   SET code = $2, name = $3, varies_by = $4, version = version + 1, updated_at = now()
 WHERE id = $1
"""

# Only deleted products have the group then. They are locked in the order of all writers of products.
FORGET_GROUP = """
WITH left_behind AS MATERIALIZED (
    SELECT id FROM products WHERE group_id = $1 ORDER BY id FOR NO KEY UPDATE
)
UPDATE products
   SET group_id = NULL, options = '[]', folded_options = NULL, options_text = '', position = 0, is_listed = true
 WHERE id = ANY(ARRAY(SELECT id FROM left_behind))
"""

DELETE_GROUP = "DELETE FROM product_groups WHERE id = $1"

_COLUMNS = len(ProductGroup._fields)


@cache
def list_sql(*, empty: bool, code: bool) -> str:
    """Return the statement of a list, with or without groups that have no variants; its parameters are the last id, LIMIT and the code."""
    return f"""
    SELECT {_GROUP}
      FROM product_groups AS wanted
     WHERE wanted.id < $1{"" if empty else " AND wanted.variants > 0"}{" AND wanted.code = $3" if code else ""}
     ORDER BY wanted.id DESC
     LIMIT $2
    """  # noqa: S608 - constants


async def groups(pool: "Pool", page: Page, code: str, *, empty: bool) -> tuple[Sequence[WholeGroup], Position | None]:
    """Return a page of groups without their variants, newest first, and the position of its last row if more follow.

    An empty code means groups of any code; `empty` adds groups without variants on sale.
    """
    rows = await pool.fetch(list_sql(empty=empty, code=bool(code)), page.below, page.size + 1, *([code] if code else []))
    found = [WholeGroup(ProductGroup._make(row)) for row in rows[: page.size]]
    return found, Position(None, found[-1].group.id) if len(rows) > page.size else None


async def get(pool: "Pool", group_id: UUID) -> WholeGroup:
    """Return a group with its variants on sale; raises GroupNotFound."""
    async with connection(pool) as conn:
        return await read(conn, group_id)


async def by_slug(pool: "Pool", slug: str) -> WholeGroup:
    """Return the group that has a slug, or had it last; raises SlugNotFound."""
    try:
        return await get(pool, await slugs.resolve(pool, SlugKind.GROUP, slug))
    except GroupNotFound:  # deleted meanwhile
        raise SlugNotFound(SlugKind.GROUP, slug) from None


async def read(conn: "Conn", group_id: UUID) -> WholeGroup:
    """Return a group with its variants on sale, in the caller's transaction if there is one; raises GroupNotFound."""
    rows = await conn.fetch(GET_GROUP, group_id)
    if not rows:
        raise GroupNotFound(group_id)
    variants = [Variant._make(row[_COLUMNS:]) for row in rows if row["variant_id"]]
    return WholeGroup(ProductGroup._make(rows[0][:_COLUMNS]), variants)


@retry_conflicts
async def create(pool: "Pool", draft: GroupDraft, actor: Actor, key: IdempotencyKey | None = None) -> WholeGroup | Stored:
    """Create a group without variants; raises GroupCodeTaken or SlugTaken."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, draft, actor))


async def _create(conn: "Conn", draft: GroupDraft, actor: Actor) -> WholeGroup:
    return await read(conn, await insert(conn, draft, actor))


async def insert(conn: "Conn", draft: GroupDraft, actor: Actor) -> UUID:
    """Create a group in the caller's transaction, and return its id; raises GroupCodeTaken or SlugTaken."""
    group_id: UUID | None = await conn.fetchval(INSERT_GROUP, draft.code, draft.name, list(draft.varies_by))
    if group_id is None:
        raise GroupCodeTaken(draft.code or "")
    given = await slugs.assign(conn, SlugKind.GROUP, [slugs.Named(group_id, draft.name, draft.slug)])
    await events.append(conn, [Event(EventKind.PRODUCT_GROUP_CREATED, group_id)])
    made = {"code": draft.code or str(group_id), "name": draft.name, "varies_by": [*draft.varies_by], "slug": given.get(group_id)}
    await audit_log.append(conn, actor, "product_group.created", group_id, {}, made)
    return group_id


async def lock(conn: "Conn", group_id: UUID) -> ProductGroup:
    """Lock a group and return it; raises GroupNotFound."""
    row = await conn.fetchrow(LOCK_GROUP, group_id)
    if row is None:
        raise GroupNotFound(group_id)
    return ProductGroup._make(row)


@retry_conflicts
async def update(
    pool: "Pool",
    group_id: UUID,
    values: Mapping[str, Any],
    etags: Collection[str],
    actor: Actor,
    key: IdempotencyKey | None = None,
) -> WholeGroup | Stored:
    """Set fields of a group: `code` and `slug` (None stays), `name` and `varies_by`.

    Raises GroupNotFound, EtagMismatch, GroupCodeTaken, SlugTaken, or GroupInUse if other names of options are to replace those of variants
    on sale.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, group_id, values, etags, actor))


async def _update(conn: "Conn", group_id: UUID, values: Mapping[str, Any], etags: Collection[str], actor: Actor) -> WholeGroup:
    current = await lock(conn, group_id)
    require_etag("product group", etags, current.etag)
    wanted = current._replace(**{name: value for name, value in values.items() if value is not None})
    if wanted.varies_by != current.varies_by and current.variant_count:
        raise GroupInUse(current.variant_count)
    await write(conn, current, wanted, actor)
    return await read(conn, group_id)


async def write(conn: "Conn", current: ProductGroup, wanted: ProductGroup, actor: Actor) -> None:
    """Write the fields of a locked group; raises GroupCodeTaken or SlugTaken."""
    try:
        await conn.execute(UPDATE_GROUP, wanted.id, wanted.code, wanted.name, wanted.varies_by)
    except asyncpg.UniqueViolationError:
        raise GroupCodeTaken(wanted.code) from None
    if wanted.slug != current.slug:
        await slugs.assign(conn, SlugKind.GROUP, [slugs.Named(wanted.id, wanted.name, wanted.slug)])
    await events.append(conn, [Event(EventKind.PRODUCT_GROUP_UPDATED, wanted.id)])
    await audit_log.append(conn, actor, "product_group.updated", wanted.id, _fields(current), _fields(wanted))


@retry_conflicts
async def delete(
    pool: "Pool", group_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> WholeGroup | Stored:
    """Delete a group, and remove it from deleted products.

    Raises GroupNotFound, EtagMismatch, or GroupInUse if it has variants on sale.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _delete(conn, group_id, etags, actor))


async def _delete(conn: "Conn", group_id: UUID, etags: Collection[str], actor: Actor) -> WholeGroup:
    group = await lock(conn, group_id)
    require_etag("product group", etags, group.etag)
    if group.variant_count:
        raise GroupInUse(group.variant_count)
    await conn.execute(FORGET_GROUP, group_id)
    await conn.execute(DELETE_GROUP, group_id)
    await events.append(conn, [Event(EventKind.PRODUCT_GROUP_DELETED, group_id)])
    await audit_log.append(conn, actor, "product_group.deleted", group_id, _fields(group), {})
    return WholeGroup(group._replace(representative_id=None))  # read before the lock, so it may be that of a variant deleted since


def _fields(group: ProductGroup) -> dict[str, object]:
    """Return what the audit log records of a group."""
    return {"code": group.code, "name": group.name, "varies_by": group.varies_by, "slug": group.slug}
