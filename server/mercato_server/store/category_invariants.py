"""The invariants of the category tree and of slugs, as queries for store/invariants.py."""

# A category of a ring is reached from no category at the top. The bound ends a walk along wrong rows, far above the depth of a tree.
WRONG_TREE = """
WITH RECURSIVE tree AS (
    SELECT id, '{}'::uuid[] AS ancestors FROM categories WHERE parent_id IS NULL
     UNION ALL
    SELECT child.id, tree.ancestors || tree.id
      FROM tree
      JOIN categories AS child ON child.parent_id = tree.id
     WHERE cardinality(tree.ancestors) < 100
)
SELECT category.id AS category_id, category.parent_id, category.ancestors, tree.ancestors AS ancestors_by_parents
  FROM categories AS category
  LEFT JOIN tree USING (id)
 WHERE category.ancestors IS DISTINCT FROM tree.ancestors
"""

WRONG_LISTINGS = """
SELECT coalesce(listing.id, document.product_id) AS product_id, coalesce(listing.category_id, document.category_id) AS category_id,
       listing.price_minor AS listed_price, document.price_minor
  FROM category_listings AS listing
  FULL JOIN (SELECT product_id, above.category_id, price_minor, name_key
               FROM product_search, unnest(category_ids[2:]) AS above (category_id)
              WHERE locale = '') AS document
         ON document.product_id = listing.id AND document.category_id = listing.category_id
 WHERE (listing.id, listing.price_minor, listing.name_key) IS DISTINCT FROM (document.product_id, document.price_minor, document.name_key)
"""

WRONG_RECENT_LISTINGS = f"""{WRONG_LISTINGS}
   AND coalesce(listing.id, document.product_id) IN (SELECT id FROM category_listings WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
                                                      UNION
                                                     SELECT product_id
                                                       FROM product_search
                                                      WHERE age(xmin) <= (SELECT age($1::text::xid8::xid)))
"""  # noqa: S608 - constants

# A thing without a slug waits for the task that gives it one.
WRONG_SLUGS = """
SELECT coalesce(held.kind, thing.kind) AS kind, coalesce(held.slug, thing.slug) AS slug, held.subject_id AS held_by, thing.id AS shown_by
  FROM (SELECT kind, slug, subject_id FROM slugs WHERE is_live) AS held
  FULL JOIN (SELECT 'category' AS kind, slug, id FROM categories WHERE slug IS NOT NULL
              UNION ALL
             SELECT 'product', slug, id FROM products WHERE slug IS NOT NULL
              UNION ALL
             SELECT 'group', slug, id FROM product_groups WHERE slug IS NOT NULL) AS thing
         ON thing.kind = held.kind AND thing.id = held.subject_id AND thing.slug = held.slug
 WHERE (held.subject_id IS NULL OR thing.id IS NULL)
"""

WRONG_RECENT_SLUGS = f"""{WRONG_SLUGS}
   AND coalesce(held.subject_id, thing.id) IN (SELECT subject_id FROM slugs WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
                                                UNION
                                               SELECT id FROM products WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
                                                UNION
                                               SELECT id FROM categories WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
                                                UNION
                                               SELECT id FROM product_groups WHERE age(xmin) <= (SELECT age($1::text::xid8::xid)))
"""  # noqa: S608 - constants
