"""The tree of categories: places of new categories, and moves of subtrees with their products.

A change of the tree locks the table against other writers, so no two moves make a ring together. docs/categories.md explains the locks.
"""

from collections.abc import Sequence
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.catalog import CATEGORY_DEPTH_MAX, SUBCATEGORIES_MAX
from mercato_server.domain.category_errors import CategoryCycle, CategoryLimit
from mercato_server.domain.errors import CategoryNotFound

# Reads of categories, and writers of products that share the locks of their rows, go on.
LOCK_TREE = "LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE"

# The beginning of a statement that locks rows which its transaction is to write. Its change of no row makes the statement lock the table
# for writers before it locks rows. Otherwise a change of the tree would wait for these rows, and the writer for the table.
AS_WRITER = "WITH writer AS (UPDATE categories SET version = version WHERE false)\n"

GET_PLACE = """
SELECT ancestors, (SELECT count(*) FROM categories WHERE coalesce(parent_id, '00000000-0000-0000-0000-000000000000') = $1) AS children
  FROM categories
 WHERE id = $1
"""

# Waits for the writers of products of the subtree, whose documents the next statements then see; later ones wait for the move.
LOCK_SUBTREE = """
SELECT id, cardinality(ancestors) AS depth
  FROM categories
 WHERE id = $1 OR ancestors @> ARRAY[$1::uuid]
 ORDER BY id
   FOR NO KEY UPDATE
"""

MOVE_SUBTREE = """
UPDATE categories
   SET ancestors = $2::uuid[] || ancestors[$3::integer + 1:], parent_id = CASE WHEN id = $1 THEN $4::uuid ELSE parent_id END
 WHERE id = $1 OR ancestors @> ARRAY[$1::uuid]
"""

COUNT_MOVED = "SELECT count(*) FROM (SELECT FROM product_search WHERE category_ids @> ARRAY[$1::uuid] LIMIT $2) AS moved"

# A trigger completes the categories from the first one, and the listings of the categories above follow. A document that another
# transaction has given another category meanwhile is tested again, so it is left out.
MOVE_DOCUMENTS = "UPDATE product_search SET category_ids = category_ids[1:1] WHERE category_ids @> ARRAY[$1::uuid]"


async def lock(conn: "Conn") -> None:
    """Let no other transaction change categories until this one ends."""
    await conn.execute(LOCK_TREE)


async def place_below(conn: "Conn", parent_id: UUID | None) -> Sequence[UUID]:
    """Return the ancestors of a new subcategory. Raises CategoryNotFound or CategoryLimit. The tree must be locked."""
    if parent_id is None:
        return []
    row = await conn.fetchrow(GET_PLACE, parent_id)
    if row is None:
        raise CategoryNotFound(parent_id)
    if row["children"] >= SUBCATEGORIES_MAX:
        raise CategoryLimit("a category has at most {most} subcategories", most=SUBCATEGORIES_MAX)
    ancestors = [*row["ancestors"], parent_id]
    _check_depth(len(ancestors) + 1)
    return ancestors


async def move(conn: "Conn", category_id: UUID, parent_id: UUID | None, products_max: int) -> None:
    """Move a category with its subtree below another one, or to the top; raises CategoryNotFound, CategoryCycle or CategoryLimit.

    The tree must be locked. The move writes the search document of each product on sale in the subtree, at most `products_max`.
    """
    ancestors = await place_below(conn, parent_id)
    if category_id in ancestors and parent_id is not None:
        raise CategoryCycle(category_id, parent_id)
    depths = {row["id"]: row["depth"] for row in await conn.fetch(LOCK_SUBTREE, category_id)}
    depth = depths[category_id]
    _check_depth(len(ancestors) + 1 + max(depths.values()) - depth)
    if await conn.fetchval(COUNT_MOVED, category_id, products_max + 1) > products_max:
        raise CategoryLimit("a call moves at most {most} products; move subcategories, or use mercato categories import", most=products_max)
    await conn.execute(MOVE_SUBTREE, category_id, ancestors, depth, parent_id)
    await conn.execute(MOVE_DOCUMENTS, category_id)


def _check_depth(depth: int) -> None:
    if depth > CATEGORY_DEPTH_MAX:
        raise CategoryLimit("the tree has at most {most} levels", most=CATEGORY_DEPTH_MAX)
