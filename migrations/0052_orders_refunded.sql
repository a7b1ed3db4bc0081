-- phase: index
-- Lists the refunds of a time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_refunded ON order_history (created_at, order_id) WHERE status = 'refunded';
