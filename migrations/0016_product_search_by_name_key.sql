-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS product_search_by_name_key ON product_search (locale, name_key, product_id);
