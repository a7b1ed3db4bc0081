-- phase: expand
-- The time at which a worker cancels the order if it still is placed; NULL sets none.
ALTER TABLE orders ADD COLUMN payment_due_at timestamptz;
