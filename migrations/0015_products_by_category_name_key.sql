-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_category_name_key ON products (category_id, name_key, id) WHERE deleted_at IS NULL;
