-- phase: index
-- At most one variant on sale represents its group in a collapsed list.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS products_listed_key ON products (group_id)
 WHERE deleted_at IS NULL AND group_id IS NOT NULL AND is_listed;
