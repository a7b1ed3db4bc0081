"""Import and export of redirects: earlier slugs that come from a file, and all earlier slugs."""

from collections.abc import Collection, Mapping, Sequence
from typing import BinaryIO
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.redirects import Held, Redirect
from mercato_server.domain.slugs import HISTORY_MAX, SlugKind
from mercato_server.store import audit_log, slugs
from mercato_server.store.category_tree import AS_WRITER
from mercato_server.store.spreadsheets import write_csv

GET_HELD = """
SELECT kind, slugs.slug, subject_id, is_live, kind <> 'product' OR product.deleted_at IS NULL AS is_on_sale
  FROM slugs
  LEFT JOIN products AS product ON kind = 'product' AND id = subject_id
 WHERE kind = ANY($1::text[]) AND slugs.slug = ANY($2::text[])
"""

# The locks of a rename: so no two writers give one thing more earlier slugs than it keeps, and no thing is deleted meanwhile.
LOCK_CATEGORIES = f"{AS_WRITER}SELECT id FROM categories WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"  # noqa: S608 - constants

LOCK_GROUPS = "SELECT id FROM product_groups WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"

LOCK_PRODUCTS = "SELECT id FROM products WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE"

GET_EARLIER = "SELECT kind, slug, subject_id FROM slugs WHERE subject_id = ANY($1::uuid[]) AND NOT is_live"

# They are older than the present slug, so a rename does not forget the slug that it ends before them. One order for all writers.
KEEP_SLUGS = """
INSERT INTO slugs AS held (kind, slug, subject_id, is_live, given_at)
SELECT kind, slug, wanted.subject_id, false,
       coalesce((SELECT given_at FROM slugs AS present WHERE present.kind = wanted.kind AND present.subject_id = wanted.subject_id
                    AND present.is_live), now()) - interval '1 microsecond'
  FROM unnest($1::text[], $2::text[], $3::uuid[]) AS wanted (kind, slug, subject_id)
 ORDER BY kind, slug COLLATE "C"
    ON CONFLICT (kind, slug) DO UPDATE
   SET subject_id = excluded.subject_id, given_at = excluded.given_at
 WHERE NOT held.is_live
RETURNING kind, slug, xmax = 0 AS is_new
"""

EXPORT_REDIRECTS = """
SELECT '/v1/slugs/' || earlier.kind || '/' || earlier.slug AS "Redirect from",
       '/v1/slugs/' || earlier.kind || '/' || present.slug AS "Redirect to"
  FROM slugs AS earlier
  JOIN slugs AS present ON present.kind = earlier.kind AND present.subject_id = earlier.subject_id AND present.is_live
  LEFT JOIN products AS product ON earlier.kind = 'product' AND product.id = earlier.subject_id
 WHERE NOT earlier.is_live AND product.deleted_at IS NULL
 ORDER BY earlier.kind, earlier.slug
"""

BATCH = 1_000
"""Redirects that are written in one transaction."""

_LOCKS = {SlugKind.CATEGORY: LOCK_CATEGORIES, SlugKind.GROUP: LOCK_GROUPS, SlugKind.PRODUCT: LOCK_PRODUCTS}
"""The locks of the subjects of each kind, in the lock order."""


async def held(pool: "Pool", wanted: Collection[str]) -> list[Held]:
    """Return the rows of slugs that have one of the texts."""
    return [Held._make(row) for row in await pool.fetch(GET_HELD, list(SlugKind), list(wanted))]


@retry_conflicts
async def write(pool: "Pool", batch: Sequence[Redirect], source: str, actor: Actor) -> Mapping[int, str]:
    """Keep redirects as earlier slugs, in one transaction; return the result of each line.

    A result is `created`, `updated` (it led to another thing), `unchanged`, or why the line is left out. The number of statements does not
    grow with the batch. One that changes nothing leaves no trace; any other appends one entry to the audit log, which names its source.
    """
    async with transaction(pool) as conn:
        there = await _lock(conn, batch)
        results, wanted = await _fitting(conn, batch, there)
        if wanted:
            freed = [each.slug for each in wanted if each.kind is SlugKind.PRODUCT]
            if freed:
                await conn.execute(slugs.FREE_SLUGS, freed)
            columns = [[each.kind.value for each in wanted], [each.slug for each in wanted], [each.subject_id for each in wanted]]
            written = {(row["kind"], row["slug"]): row["is_new"] for row in await conn.fetch(KEEP_SLUGS, *columns)}
            for each in wanted:
                is_new = written.get((each.kind, each.slug))
                results[each.line] = f"{each.slug} is the slug of a thing that the shop has" if is_new is None else _result(is_new=is_new)
            counts = {"created": sum(written.values()), "updated": len(written) - sum(written.values())}
            if written:
                await audit_log.append(conn, actor, "redirects.imported", None, {}, {"source": source, **counts})
        return results


def _result(*, is_new: bool) -> str:
    return "created" if is_new else "updated"


async def _lock(conn: "Conn", batch: Sequence[Redirect]) -> set[UUID]:
    """Lock the things to which redirects lead; return those that are there."""
    there: set[UUID] = set()
    for kind, statement in _LOCKS.items():
        if ids := {each.subject_id for each in batch if each.kind is kind}:
            there |= {row["id"] for row in await conn.fetch(statement, list(ids))}
    return there


async def _fitting(conn: "Conn", batch: Sequence[Redirect], there: Collection[UUID]) -> tuple[dict[int, str], list[Redirect]]:
    """Return the results of the lines that need no write, and the redirects of the others."""
    earlier: dict[UUID, set[tuple[str, str]]] = {}
    for row in await conn.fetch(GET_EARLIER, list(there)):
        earlier.setdefault(row["subject_id"], set()).add((row["kind"], row["slug"]))
    results: dict[int, str] = {}
    wanted = []
    for each in batch:
        mine = earlier.setdefault(each.subject_id, set())
        if each.subject_id not in there:
            results[each.line] = "leads to a thing that has just been deleted"
        elif (each.kind, each.slug) in mine:
            results[each.line] = "unchanged"
        elif len(mine) >= HISTORY_MAX:
            results[each.line] = f"leads to a thing with {HISTORY_MAX} earlier slugs, and a thing keeps no more"
        else:
            mine.add((each.kind, each.slug))
            wanted.append(each)
    return results, wanted


async def export(pool: "Pool", output: BinaryIO) -> int:
    """Write all earlier slugs with the present ones as CSV; return their number. The slugs of deleted products are left out."""
    async with pool.acquire() as conn:
        return await write_csv(conn, EXPORT_REDIRECTS, output=output)
