-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_weight ON products (weight_grams);
