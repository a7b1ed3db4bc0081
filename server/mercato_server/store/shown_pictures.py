"""The pictures that products show, and the sweep of those that none shows.

A product and its pictures are locked in that order, pictures by digest. The sweep passes by what is locked.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID, uuid4

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.catalog import Product
from mercato_server.domain.picture_errors import PictureNotFound, PicturesLimit
from mercato_server.domain.pictures import PICTURES_MAX, Renditions, Shown, Side, shown
from mercato_server.store.picture_uploads import LEASE_S

SWEPT = 100
"""Pictures of one transaction of the sweep."""
REMOVE_S = 120.0
"""Time limit for deleting their files."""

# Waits for a sweep that holds a picture, and then does not find it.
LOCK_PICTURES = """
SELECT digest, widths, heights
  FROM pictures
 WHERE digest = ANY($1::bytea[]) AND condemned_at IS NULL
 ORDER BY digest
   FOR NO KEY UPDATE
"""

REMOVE_SHOWN = "DELETE FROM product_pictures WHERE product_id = ANY($1::uuid[])"

# A picture that is removed may be shown by another product: the sweep looks.
SHOW_PICTURES = """
WITH added AS (
    INSERT INTO product_pictures (product_id, digest, position, alt)
    SELECT product_id, digest, position, alt
      FROM unnest($1::uuid[], $2::bytea[], $3::smallint[], $4::text[]) AS new (product_id, digest, position, alt)
), used AS (
    UPDATE pictures
       SET unused_at = CASE WHEN digest = ANY($2::bytea[]) THEN NULL ELSE now() END
     WHERE digest = ANY($2::bytea[]) OR digest = ANY($5::bytea[])
)
UPDATE products
   SET pictures = new.pictures::jsonb, version = version + 1, updated_at = now()
  FROM unnest($6::uuid[], $7::text[]) AS new (product_id, pictures)
 WHERE id = ANY($6::uuid[]) AND id = product_id
RETURNING id, products.pictures, version, updated_at
"""

LOCK_UNUSED = """
SELECT digest
  FROM pictures
 WHERE unused_at < now() - make_interval(secs => $1) AND condemned_at IS NULL
 ORDER BY unused_at
 LIMIT $2
   FOR UPDATE SKIP LOCKED
"""

# A statement of its own, which sees the products that have begun to show a picture before it was locked.
CONDEMN = """
UPDATE pictures AS picture
   SET unused_at = CASE WHEN NOT is_shown THEN unused_at END, condemned_at = CASE WHEN NOT is_shown THEN now() END
  FROM (SELECT digest, EXISTS (SELECT FROM product_pictures AS shown WHERE shown.digest = locked.digest) AS is_shown
          FROM unnest($1::bytea[]) AS locked (digest)) AS found
 WHERE picture.digest = found.digest
"""

LEASE_CONDEMNED = """
UPDATE pictures
   SET lease = $1, leased_until = now() + make_interval(secs => $2)
 WHERE digest IN (SELECT digest
                    FROM pictures
                   WHERE unused_at IS NOT NULL AND condemned_at IS NOT NULL AND (lease IS NULL OR leased_until < now())
                   ORDER BY unused_at
                   LIMIT $3
                     FOR UPDATE SKIP LOCKED)
RETURNING digest
"""

DELETE_CONDEMNED = "DELETE FROM pictures WHERE digest = ANY($1::bytea[]) AND lease = $2"

# Files without a picture become one that is about to be deleted, so that there is one way to delete files.
CONDEMN_UNKNOWN = """
INSERT INTO pictures (digest, widths, heights, condemned_at)
SELECT digest, '{0,0,0}', '{0,0,0}', now()
  FROM unnest($1::bytea[]) AS digest
 WHERE NOT EXISTS (SELECT FROM database_origin WHERE restored_at > now() - make_interval(secs => $2))
    ON CONFLICT (digest) DO NOTHING
"""

COUNT_UPLOADED = """
SELECT sku, jsonb_array_length(pictures) AS uploaded
  FROM products
 WHERE sku = ANY($1::text[]) AND deleted_at IS NULL AND pictures IS NOT NULL
"""


async def uploaded(pool: "Pool", skus: Sequence[str]) -> Mapping[str, int]:
    """Return the numbers of uploaded pictures that products on sale show, by SKU."""
    return {row["sku"]: row["uploaded"] for row in await pool.fetch(COUNT_UPLOADED, skus)}


async def show(conn: "Conn", product: Product, wanted: Sequence[tuple[bytes, str | None]]) -> Product:
    """Show pictures with a locked product, and no others, and return it; a text None keeps the one that the product has.

    Raises PictureNotFound or PicturesLimit.
    """
    if len(wanted) + len(product.image_urls) > PICTURES_MAX:
        raise PicturesLimit(len(product.image_urls))
    [row] = await _show(conn, {product.id: (shown(product.pictures), wanted)})
    return product._replace(**dict(row))


async def show_each(conn: "Conn", wanted: Mapping[UUID, tuple[str | None, Sequence[bytes]]]) -> Mapping[UUID, str | None]:
    """Show other pictures with locked products: by id the stored pictures and the digests of the new ones, which keep their texts.

    Returns the pictures of each product, as its column has them. The number of statements does not grow with the number of products. The
    caller has counted the pictures. Raises PictureNotFound.
    """
    rows = await _show(conn, {id_: (shown(stored), [(digest, None) for digest in digests]) for id_, (stored, digests) in wanted.items()})
    return {row["id"]: row["pictures"] for row in rows}


async def _show(
    conn: "Conn", wanted: Mapping[UUID, tuple[Sequence[Shown], Sequence[tuple[bytes, str | None]]]]
) -> Sequence[asyncpg.Record]:
    """Show pictures with products: by id those before and those wanted. Return what was written, a row for each product."""
    used = {digest for _, now in wanted.values() for digest, _ in now}
    before = {each.picture.digest for shown_before, _ in wanted.values() for each in shown_before}
    known = {row["digest"]: _renditions(*row) for row in await conn.fetch(LOCK_PICTURES, [*(used | before)])}
    missing = next((digest for digest in used if digest not in known), None)
    if missing is not None:
        raise PictureNotFound(missing.hex())
    rows: list[tuple[UUID, bytes, int, str]] = []
    texts: list[str | None] = []
    for id_, (shown_before, now) in wanted.items():
        alts = {each.picture.digest: each.alt for each in shown_before}
        pictures = [Shown(known[digest], alts.get(digest, "") if alt is None else alt) for digest, alt in now]
        rows += [(id_, each.picture.digest, position, each.alt) for position, each in enumerate(pictures)]
        texts.append(column(pictures))
    await conn.execute(REMOVE_SHOWN, list(wanted))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    return await conn.fetch(SHOW_PICTURES, *columns, list(before - used), list(wanted), texts)


@retry_conflicts
async def condemn(pool: "Pool", unused_s: float) -> int:
    """Condemn one batch of pictures that no product has shown for some time, so that none can begin to; return how many were looked at.

    Until then clients may have its URL, an administrator may show it once more, and a backup may be restored that shows it.
    """
    async with transaction(pool) as conn:
        digests = [row["digest"] for row in await conn.fetch(LOCK_UNUSED, unused_s, SWEPT)]
        if digests:
            await conn.execute(CONDEMN, digests)
        return len(digests)


async def delete_condemned(pool: "Pool", remove: Callable[[Sequence[bytes]], Awaitable[None]]) -> int:
    """Delete one batch of condemned pictures; `remove` deletes their files first, while a lease keeps others from them. Return how many."""
    lease = uuid4()
    digests = await _lease_condemned(pool, lease)
    if digests:
        async with asyncio.timeout(REMOVE_S):
            await remove(digests)
        await pool.execute(DELETE_CONDEMNED, digests, lease)
    return len(digests)


@retry_conflicts
async def _lease_condemned(pool: "Pool", lease: UUID) -> list[bytes]:
    async with transaction(pool) as conn:
        return [row["digest"] for row in await conn.fetch(LEASE_CONDEMNED, lease, LEASE_S, SWEPT)]


@retry_conflicts
async def condemn_unknown(pool: "Pool", digests: Sequence[bytes], kept_s: float) -> None:
    """Condemn those digests that no picture has, unless the shop was restored within `kept_s`."""
    async with transaction(pool) as conn:
        await conn.execute(CONDEMN_UNKNOWN, digests, kept_s)


def _renditions(digest: bytes, widths: Sequence[int], heights: Sequence[int]) -> Renditions:
    return Renditions(digest, tuple(Side(*side) for side in zip(widths, heights, strict=True)))


def column(pictures: Sequence[Shown]) -> str | None:
    """Return the text of a product's column."""
    rows = [
        {"picture": each.picture.digest.hex(), "alt": each.alt, "sides": [list(side) for side in each.picture.sides]} for each in pictures
    ]
    return json.dumps(rows) if rows else None
