"""The groups and the pictures of the demo shop, which it gets together with its catalog."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.demo.goods import DemoGroup
from mercato_server.demo.pictures import pictures, renditions
from mercato_server.domain.pictures import Shown
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import slugs

INSERT_GROUP = """
WITH added AS (
    INSERT INTO product_groups (id, code, name, varies_by, currency_code)
    VALUES ($1, $2, $3, $4, (SELECT currency_code FROM shop))
    RETURNING id
)
INSERT INTO events (kind, subject_id) SELECT 'product_group.created', id FROM added
"""

# An administrator may have uploaded the same file. No worker runs yet: a lease is of one that was killed.
INSERT_PICTURE = """
INSERT INTO pictures (digest, widths, heights, unused_at)
VALUES ($1, $2, $3, NULL)
    ON CONFLICT (digest) DO UPDATE
   SET unused_at = NULL, condemned_at = NULL, lease = NULL, leased_until = NULL
"""

SHOW_PICTURES = """
INSERT INTO product_pictures (product_id, digest, position, alt)
SELECT product_id, digest, 0, alt
  FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS shown (product_id, digest, alt)
"""


async def add_groups(conn: "Conn", groups: Sequence[DemoGroup]) -> None:
    """Create groups without variants, with slugs of their names."""
    await conn.executemany(INSERT_GROUP, [(each.id, each.code, each.name, each.varies_by) for each in groups])
    await slugs.give(conn, SlugKind.GROUP, [slugs.Named(each.id, each.name) for each in groups])


async def add_pictures(conn: "Conn", store: Callable[[], Awaitable[None]]) -> Mapping[str, Shown]:
    """Add the pictures, whose files `store` writes, and return them by name. It is for a shop whose workers do not run yet."""
    drawn = {name: Shown(renditions(name), picture.alt) for name, picture in pictures().items()}
    await conn.executemany(INSERT_PICTURE, [(each.picture.digest, *zip(*each.picture.sides, strict=True)) for each in drawn.values()])
    await store()
    return drawn


async def show_pictures(conn: "Conn", shown: Mapping[UUID, Shown]) -> None:
    """Record the picture of each product, which the column of the product has already."""
    digests, alts = [each.picture.digest for each in shown.values()], [each.alt for each in shown.values()]
    await conn.execute(SHOW_PICTURES, list(shown), digests, alts)
