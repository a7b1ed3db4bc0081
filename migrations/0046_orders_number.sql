-- phase: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_number ON orders (number) WHERE number IS NOT NULL;
