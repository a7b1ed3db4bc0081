-- phase: index
-- Collapsed lists by name. By creation they walk along the primary key, where the variants of a group stand side by side.
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_by_name_key ON products (name_key, id) WHERE deleted_at IS NULL AND is_listed;
