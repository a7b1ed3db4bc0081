-- phase: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS stock_ledger_steps ON stock_ledger (order_id, product_id, kind, reference_id) NULLS NOT DISTINCT
 WHERE order_id IS NOT NULL;
