-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_parcel ON products (parcel_grams);
