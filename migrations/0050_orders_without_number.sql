-- phase: index
-- Finds the orders to which workers of earlier releases gave no number. New orders are not in it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_without_number ON orders (id) WHERE number IS NULL;
