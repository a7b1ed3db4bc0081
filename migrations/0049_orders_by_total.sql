-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_total ON orders (total_minor);
