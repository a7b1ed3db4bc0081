-- phase: index
-- Finds the variants of options that few have; lists of options that many have walk along the index of their order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_options ON products USING gin (folded_options jsonb_path_ops)
 WHERE deleted_at IS NULL AND folded_options IS NOT NULL;
