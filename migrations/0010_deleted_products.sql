-- phase: index
-- Administrators list deleted products, the newest first. There are few of them among many.
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_deleted ON products (id) WHERE deleted_at IS NOT NULL;
