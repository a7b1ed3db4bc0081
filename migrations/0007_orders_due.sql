-- phase: index
-- Finds the overdue orders.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_due ON orders (payment_due_at) WHERE status = 'placed' AND payment_due_at IS NOT NULL;
