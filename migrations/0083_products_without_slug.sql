-- phase: index
-- Products on sale that get their slug from a task.
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_without_slug ON products (id) WHERE slug IS NULL AND deleted_at IS NULL;
