-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_group ON products (group_id, position, id) WHERE group_id IS NOT NULL;
