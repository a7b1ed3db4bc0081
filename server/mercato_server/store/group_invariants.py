"""Invariants of groups of products: what a group and its variants say of each other."""

import asyncpg

from mercato_server.domain import product_groups

_SUMMARY = """
SELECT wanted.id AS group_id, wanted.variants, wanted.min_price_minor, wanted.max_price_minor, coalesce(found.variants, 0) AS counted,
       found.min_price_minor AS lowest, found.max_price_minor AS highest
  FROM product_groups AS wanted
  LEFT JOIN (SELECT group_id, count(*) AS variants, min(price_minor) AS min_price_minor, max(price_minor) AS max_price_minor,
                    array_agg(id ORDER BY position, id) AS variant_ids, jsonb_agg(options ORDER BY position, id) AS variant_options
               FROM products
              WHERE group_id IS NOT NULL AND deleted_at IS NULL
              GROUP BY group_id) AS found ON found.group_id = wanted.id
"""

WRONG_GROUPS = f"""{_SUMMARY}
 WHERE (wanted.variants, wanted.min_price_minor, wanted.max_price_minor, coalesce(wanted.variant_ids, '{{}}'),
        coalesce(wanted.variant_options, '[]'))
       IS DISTINCT FROM (coalesce(found.variants, 0), found.min_price_minor, found.max_price_minor, coalesce(found.variant_ids, '{{}}'),
                         coalesce(found.variant_options, '[]'))
"""

# Exactly one variant on sale is listed: the one with the lowest price, of several the oldest one. A product without a group is listed.
WRONG_REPRESENTATIVES = """
SELECT id AS product_id, group_id, is_listed
  FROM (SELECT id, group_id, is_listed, row_number() OVER (PARTITION BY group_id ORDER BY price_minor, id) = 1 AS represents
          FROM products
         WHERE group_id IS NOT NULL AND deleted_at IS NULL) AS variant
 WHERE is_listed <> represents
 UNION ALL
SELECT id, group_id, is_listed FROM products WHERE group_id IS NULL AND NOT is_listed
"""

REPEATED_OPTIONS = """
SELECT group_id, folded_options, count(*) AS variants
  FROM products
 WHERE group_id IS NOT NULL AND deleted_at IS NULL
 GROUP BY group_id, folded_options
HAVING count(*) > 1
"""

# The options of the newest changes only, because folding them takes some microseconds a product.
GET_RECENT_OPTIONS = """
SELECT product.id AS product_id, product.options, product.folded_options, product.options_text, owner.varies_by
  FROM (SELECT id, group_id, options, folded_options, options_text, xmin AS writer
          FROM products
         WHERE group_id IS NOT NULL AND deleted_at IS NULL
         ORDER BY updated_at DESC
         LIMIT 10000) AS product
  JOIN product_groups AS owner ON owner.id = product.group_id
 WHERE $1::text IS NULL OR least(age(owner.xmin), age(writer)) <= (SELECT age($1::text::xid8::xid))
"""


def has_right_options(row: asyncpg.Record) -> bool:
    """Return whether a variant has exactly the options of its group, in their order, and folded form and text are made of them."""
    options = product_groups.parse(row["options"])
    folded = {product_groups.fold(name): product_groups.fold(value) for name, value in options}
    stored = row["folded_options"] and product_groups.load_folded(row["folded_options"])
    return (
        [option.name for option in options] == row["varies_by"] and folded == stored and product_groups.text(options) == row["options_text"]
    )
