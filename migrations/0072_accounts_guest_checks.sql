-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_guest_checks ON accounts (guest_check_at) WHERE guest_check_at IS NOT NULL;
