"""The invariants of pictures, as queries for store/invariants.py, and the lists by which a deep check looks for their files."""

from collections.abc import Sequence

from mercato_server.database.pool import Conn

LISTED = 500

# A product repeats the rows of its pictures, and each of these is there and is not about to be deleted.
WRONG_PICTURES = """
SELECT coalesce(product.id, shown.product_id) AS product_id, product.pictures, shown.pictures AS shown
  FROM (SELECT id, pictures FROM products WHERE pictures IS NOT NULL) AS product
  FULL JOIN (SELECT product_id, bool_or(picture.digest IS NULL OR unused_at IS NOT NULL AND condemned_at IS NOT NULL) AS is_lost,
                    jsonb_agg(jsonb_build_object(
                        'picture', encode(shown.digest, 'hex'),
                        'alt', alt,
                        'sides', (SELECT jsonb_agg(jsonb_build_array(width, height) ORDER BY number)
                                    FROM unnest(widths, heights) WITH ORDINALITY AS side (width, height, number))
                    ) ORDER BY position) AS pictures
               FROM product_pictures AS shown
               LEFT JOIN pictures AS picture ON picture.digest = shown.digest
              GROUP BY product_id) AS shown ON shown.product_id = product.id
 WHERE product.pictures IS DISTINCT FROM shown.pictures OR shown.is_lost
"""

# A picture that a product shows is swept only if it counts as unused; one that counts as used is shown.
FORGOTTEN_PICTURES = """
SELECT encode(digest, 'hex') AS picture_id, created_at
  FROM pictures AS picture
 WHERE unused_at IS NULL AND NOT EXISTS (SELECT FROM product_pictures AS shown WHERE shown.digest = picture.digest)
"""

STRANDED_UPLOADS = """
SELECT upload.id AS upload_id, upload.created_at
  FROM picture_uploads AS upload
 WHERE upload.state = 'pending' AND upload.created_at < now() - interval '10 minutes'
   AND NOT EXISTS (SELECT
                     FROM pgqueuer AS job
                    WHERE job.entrypoint = 'picture' AND job.payload = uuid_send(upload.id) AND job.status IN ('queued', 'picked'))
"""

LIST_DIGESTS = "SELECT digest FROM pictures WHERE digest > $1 AND condemned_at IS NULL ORDER BY digest LIMIT $2"

LIST_SHOWABLE = "SELECT digest FROM pictures WHERE digest = ANY($1::bytea[]) AND condemned_at IS NULL ORDER BY digest"


async def digests_after(conn: "Conn", last: bytes) -> list[bytes]:
    """Return the next pictures that can be shown, by digest."""
    return [row["digest"] for row in await conn.fetch(LIST_DIGESTS, last, LISTED)]


async def showable(conn: "Conn", digests: Sequence[bytes]) -> list[bytes]:
    """Return those pictures that can be shown now."""
    return [row["digest"] for row in await conn.fetch(LIST_SHOWABLE, digests)]
