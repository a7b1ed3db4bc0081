-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS categories_by_name_key ON categories (name_key, id);
