-- phase: index
-- Collapsed lists by price: products without a group, and the representatives of groups.
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_by_price ON products (price_minor, id) WHERE deleted_at IS NULL AND is_listed;
