"""The groups of the products that a transaction changes: their locks, and what follows from their variants.

A transaction that changes the price, the group, the options or the deletion of a variant locks its groups, then all their variants, then
the stock levels. So does one that changes their order. Before it ends, `refresh` renews the range of prices, the representative and the
list of variants of each group. So a group has one representative at every moment, whatever runs beside it; docs/variants.md has the
design.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.database.transactions import StaleReadError
from mercato_server.domain import product_groups
from mercato_server.domain.catalog import Product
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.group_errors import GroupFull, GroupNotFound, OptionsOutdated, OptionsTaken
from mercato_server.domain.product_groups import VARIANTS_MAX, Options, OptionsMismatchError

# The group of a product may change until it is locked, so the caller compares it again once the product is locked.
LOCK_GROUPS = """
SELECT id, varies_by
  FROM product_groups
 WHERE id = ANY($1::uuid[] || ARRAY(SELECT group_id FROM products WHERE id = ANY($2::uuid[]) AND group_id IS NOT NULL))
 ORDER BY id
   FOR NO KEY UPDATE
"""

# The products are locked together, by id. Any of them may stop or begin to represent its group.
LOCK_VARIANTS = """
SELECT id, group_id, options, position
  FROM products
 WHERE id = ANY($2::uuid[] || ARRAY(SELECT id FROM products WHERE group_id = ANY($1::uuid[]) AND deleted_at IS NULL))
 ORDER BY id  -- one lock order for all writers
   FOR NO KEY UPDATE
"""

# The old representative steps down before the new one is listed: an index allows one for each group. The ids are arrays, because a plan
# could join the whole table to a list of unknown length.
REFRESH_GROUPS = """
WITH variant AS MATERIALIZED (
    SELECT id, group_id, price_minor, is_listed, options, position,
           row_number() OVER (PARTITION BY group_id ORDER BY price_minor, id) = 1 AS represents
      FROM products
     WHERE group_id = ANY($1::uuid[]) AND deleted_at IS NULL
), unlisted AS (
    UPDATE products
       SET is_listed = false
     WHERE id = ANY(ARRAY(SELECT id FROM variant WHERE is_listed AND NOT represents))
    RETURNING id
), listed AS (
    UPDATE products
       SET is_listed = true
     WHERE id = ANY(ARRAY(SELECT id FROM variant WHERE represents AND NOT is_listed)) AND (SELECT count(*) FROM unlisted) >= 0
), summary AS (
    SELECT wanted.id, min(price_minor) AS min_price_minor, max(price_minor) AS max_price_minor, count(variant.id)::integer AS variants,
           coalesce(array_agg(variant.id ORDER BY position, variant.id) FILTER (WHERE variant.id IS NOT NULL), '{}') AS variant_ids,
           coalesce(jsonb_agg(options ORDER BY position, variant.id) FILTER (WHERE variant.id IS NOT NULL), '[]') AS variant_options
      FROM unnest($1::uuid[]) AS wanted (id)
      LEFT JOIN variant ON group_id = wanted.id
     GROUP BY wanted.id
)
UPDATE product_groups AS changed
   SET min_price_minor = summary.min_price_minor, max_price_minor = summary.max_price_minor, variants = summary.variants,
       variant_ids = summary.variant_ids, variant_options = summary.variant_options
  FROM summary
 WHERE changed.id = ANY($1::uuid[]) AND changed.id = summary.id
   AND (changed.min_price_minor, changed.max_price_minor, changed.variants, changed.variant_ids, changed.variant_options)
       IS DISTINCT FROM (summary.min_price_minor, summary.max_price_minor, summary.variants, summary.variant_ids, summary.variant_options)
"""


@dataclass(frozen=True, slots=True)
class LockedGroups:
    """Locked groups: the names of their options by group, and their variants on sale."""

    varies_by: Mapping[UUID, Sequence[str]] = field(default_factory=dict)
    variants: Sequence[asyncpg.Record] = ()

    def require(self, group_id: UUID | None) -> None:
        """Raise StaleReadError unless a product's group, which was read before its lock, is locked."""
        if group_id and group_id not in self.varies_by:
            raise StaleReadError

    def options(self, product_id: UUID | None, group_id: UUID | None, options: Options) -> Options:
        """Return the options of a product that is to be a variant of a group, in the order of the group.

        Raises GroupNotFound, OptionsTaken, GroupFull, or InvalidRequest if they are not exactly the options of the group.
        """
        if group_id is None:
            if options:
                raise InvalidRequest([Violation("product.options", "must be empty, because the product has no group")])
            return ()
        varies_by = self.varies_by.get(group_id)
        if varies_by is None:
            raise GroupNotFound(group_id)
        try:
            found = product_groups.of_group(options, varies_by)
        except OptionsMismatchError:
            values = {"varies_by": ", ".join(varies_by)}
            raise InvalidRequest([Violation("product.options", "must be exactly these: {varies_by}", values)]) from None
        others = [row for row in self.variants if row["group_id"] == group_id and row["id"] != product_id]
        for row in others:
            if product_groups.key(product_groups.parse(row["options"])) == product_groups.key(found):
                raise OptionsTaken(product_groups.text(found), row["id"])
        if len(others) >= VARIANTS_MAX:
            raise GroupFull
        return found

    def restored(self, product: Product) -> str:
        """Return the options of a deleted product that is to be on sale again, as JSON.

        Raises OptionsTaken, GroupFull, or OptionsOutdated if its group varies by other options now.
        """
        options = product_groups.parse(product.options)
        try:
            return product_groups.dump(self.options(product.id, product.group_id, options))
        except InvalidRequest:
            raise OptionsOutdated(product_groups.text(options), self.varies_by[product.group_id or product.id]) from None

    def next_position(self, group_id: UUID | None) -> int:
        """Return the position after the last variant of a group."""
        return max((row["position"] for row in self.variants if row["group_id"] == group_id), default=0) + 1


def columns(options: Options) -> tuple[str, str | None, str]:
    """Return the columns `options`, `folded_options` and `options_text` of a product."""
    return product_groups.dump(options), product_groups.dump_folded(options), product_groups.text(options)


UNGROUPED = LockedGroups()
"""For writes that touch no group."""


async def lock(conn: "Conn", product_ids: Collection[UUID], group_ids: Collection[UUID] = ()) -> LockedGroups:
    """Lock the groups of products and further groups, then these products and the variants of all these groups.

    A product without a group, whose caller names no group either, is not locked: the caller locks it.
    """
    groups = {row["id"]: row["varies_by"] for row in await conn.fetch(LOCK_GROUPS, list(group_ids), list(product_ids))}
    if not groups:
        return UNGROUPED
    rows = await conn.fetch(LOCK_VARIANTS, list(groups), list(product_ids))
    return LockedGroups(groups, [row for row in rows if row["group_id"] in groups])


async def refresh(conn: "Conn", groups: LockedGroups) -> None:
    """Renew what locked groups know of their variants, and their representatives, after the variants have been written."""
    if groups.varies_by:
        await conn.execute(REFRESH_GROUPS, list(groups.varies_by))
