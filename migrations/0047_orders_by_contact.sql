-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_contact ON orders (contact_email, id);
