-- phase: index
-- The subcategories of a category in the order of their list. Categories at the top have the nil UUID for their parent.
CREATE INDEX CONCURRENTLY IF NOT EXISTS categories_by_parent ON categories (
    coalesce(parent_id, '00000000-0000-0000-0000-000000000000'), position, name_key, id
);
