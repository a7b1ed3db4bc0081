-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_name_key ON products (name_key, id) WHERE deleted_at IS NULL;
