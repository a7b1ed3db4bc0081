-- phase: index
-- Counts the unpaid orders of an account.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_open ON orders (account_id) WHERE status = 'placed';
