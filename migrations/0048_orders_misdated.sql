-- phase: index
-- An order's id has the time of its checkout, so ids bound a list by time. These are the orders whose times differ by more, such as those
-- whose times an operator has corrected. There are few, or none.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_misdated ON orders (id)
 WHERE (created_at - uuid_extract_timestamp(id) BETWEEN interval '-10 minutes' AND interval '10 minutes') IS NOT TRUE;
