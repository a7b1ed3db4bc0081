-- phase: index
-- Orders that a worker of the release before has changed after one of this release: their books must be brought in line.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_unbooked ON orders (id) WHERE booked_version < version;
